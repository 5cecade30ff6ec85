"""Simulators of APNs, FCM, a Web Push service and a mail relay, strict about what they are sent."""
