"""The operator's page at `/admin`: login, sessions, what each role may call, live figures, and the page itself."""
