"""API methods for whoever operates the pipeline."""

from typing import Protocol

from broker.audit import Audit
from broker.dead_letters import DeadLetters
from broker.deletion_guards import DeletionGuards
from broker.erasure import Erasure
from broker.removed_devices import RemovedDevices
from broker.statistics import Statistics
from broker.suppression import Suppression
from broker.tracking import Tracking
from broker.webhook_switch import WebhookSwitch
from config.clock import Clock
from config.operation_settings import CostSettings
from gateway.api.audit import audit_methods
from gateway.api.method import Method
from gateway.notify.dead_letters import dead_letter_methods
from gateway.notify.deletion_guards import deletion_guard_methods
from gateway.notify.erasure import erasure_methods
from gateway.notify.removed_devices import removed_device_methods
from gateway.notify.statistics import statistics_methods
from gateway.notify.status_webhook import status_webhook_methods
from gateway.notify.suppression import suppression_methods

__all__ = ["OperationPorts", "operation_methods"]


class OperationPorts(Protocol):
    """What these methods stand on; a store has it all."""

    audit: Audit
    dead_letters: DeadLetters
    deletion_guards: DeletionGuards
    erasure: Erasure
    removed_devices: RemovedDevices
    statistics: Statistics
    suppression: Suppression
    tracking: Tracking
    webhook_switch: WebhookSwitch


def operation_methods(ports: OperationPorts, clock: Clock, costs: CostSettings | None = None) -> list[Method]:
    """Make the methods of all groups."""
    return [
        *audit_methods(ports.audit),
        *dead_letter_methods(ports.dead_letters),
        *deletion_guard_methods(ports.deletion_guards),
        *removed_device_methods(ports.removed_devices),
        *erasure_methods(ports.erasure),
        *statistics_methods(ports.statistics, ports.tracking, clock, costs or CostSettings()),
        *status_webhook_methods(ports.webhook_switch),
        *suppression_methods(ports.suppression, clock),
    ]
