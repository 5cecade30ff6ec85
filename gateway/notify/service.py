"""The notification methods themselves: requests in, results out, whoever asks."""

from collections.abc import Sequence
from typing import Final

from msgspec import UNSET

from broker.caching.remembered import Remembered
from broker.devices import MAX_DEVICES, DeviceFilter, Devices, check_registration
from broker.errors import BadInput, NotFound
from broker.inbox_news import InboxChanged, nobody_asks
from broker.ledger import Notifications
from broker.notification import Device, Entry, NotificationStatus, State
from broker.preferences import Preferences
from config.settings import NotificationSettings
from gateway.notify.campaigns import CampaignService
from gateway.notify.device_filter import listed_devices, page_size, removed_devices
from gateway.notify.device_items import device_item
from gateway.notify.drafting import Drafting, fingerprint_of
from gateway.notify.intake import Intake, open_to_all
from gateway.notify.messages import (
    AcceptedItem,
    AckRequest,
    CancelRequest,
    DeviceListRequest,
    DeviceListResult,
    DeviceRegisterRequest,
    DeviceRegisterResult,
    DeviceRemoveRequest,
    Done,
    NotificationItem,
    NotifyRequest,
    NotifyResult,
    PreferencesGetRequest,
    PreferencesResult,
    PreferencesSetRequest,
    StateResult,
    StatusRequest,
    StatusResult,
    StepItem,
)
from gateway.notify.user_rules import changed_rules, changes_rules, check_ways, preferences_result, words_of
from gateway.notify.wording import Wording

__all__ = ["NotificationService"]

# Whoever has more devices than that has a zone among these.
_DEVICES_READ: Final = 100


class NotificationService:
    """Every method that is our own."""

    def __init__(
        self,
        ledger: Notifications,
        devices: Devices,
        preferences: Preferences,
        settings: NotificationSettings,
        *,
        inbox_changed: InboxChanged = nobody_asks,
        wording: Wording | None = None,
        campaigns: CampaignService | None = None,
        intake: Intake = open_to_all,
        remembered: Remembered | None = None,
    ) -> None:
        self._remembered = remembered
        self._drafting, self._campaigns = Drafting(settings, wording), campaigns
        self._ledger, self._devices, self._preferences, self._settings = ledger, devices, preferences, settings
        self._inbox_changed, self._take_in = inbox_changed, intake

    async def notify(self, request: NotifyRequest) -> NotifyResult:
        """Store a notification for each user; the answer means that it is stored. For a topic a campaign does this."""
        if request.topic is not UNSET:
            if self._campaigns is None:
                raise BadInput("topic", "topics are not available here")
            return await self._campaigns.notify(request)
        draft = await self._drafting.draft(request)
        self._take_in(draft.lane)
        fingerprint = fingerprint_of(request) if request.idempotency_key else b""
        accepted = await self._ledger.accept(draft, idempotency_key=request.idempotency_key, fingerprint=fingerprint)
        if draft.inbox:
            self._inbox_changed(draft.users)
        return NotifyResult([AcceptedItem(entry.user, entry.id) for entry in accepted])

    async def ack(self, request: AckRequest) -> Done:
        """Record that the user saw it; every later step is off."""
        _require_user(request.user)
        await self._ledger.acknowledge(request.id, request.user)
        self._inbox_changed((request.user,))
        return Done()

    async def cancel(self, request: CancelRequest) -> StateResult:
        """Call it off; what has ended already stays as it is."""
        state = await self._ledger.cancel(request.id)
        if state is State.CANCELLED:
            self._inbox_changed(((await self._ledger.status(request.id)).notification.user,))
        return StateResult(state)

    async def status(self, request: StatusRequest) -> StatusResult:
        """Tell how it stands, with its timeline."""
        return _status(await self._ledger.status(request.id))

    async def device_register(self, request: DeviceRegisterRequest) -> DeviceRegisterResult:
        """Keep an address."""
        registration = check_registration(
            request.user, request.provider, request.token, request.platform, request.locale, request.timezone, request.app
        )
        device = await self._devices.register(registration)
        return DeviceRegisterResult(device.id)

    async def device_list(self, request: DeviceListRequest) -> DeviceListResult:
        """List addresses, oldest first: a user's, or those that a filter names."""
        wanted, size = listed_devices(request), page_size(request.limit)
        # One more than the page holds tells whether another one follows.
        found = await self._found(wanted, request.cursor, size + 1)
        return DeviceListResult(
            items=[device_item(device) for device in found[:size]],
            next_cursor=found[size - 1].id if len(found) > size else "",
            total_count=await self._devices.count(wanted) if request.include_total_count else UNSET,
        )

    async def _found(self, wanted: DeviceFilter, after: str, limit: int) -> Sequence[Device]:
        """Find a page of devices; that of one user with all of theirs is remembered."""
        is_of_one = wanted == DeviceFilter(users=wanted.users) and len(wanted.users) == 1
        if self._remembered is None or not is_of_one or after or limit <= MAX_DEVICES:
            return await self._devices.find(wanted, after=after, limit=limit)
        return sorted(await self._remembered.devices.get(wanted.users[0]), key=lambda device: device.id)

    async def device_remove(self, request: DeviceRemoveRequest) -> Done:
        """Forget an address, or all that are meant by what is listed."""
        if request.ids or request.users or not request.id:
            await self._devices.remove_all(removed_devices(request))
            return Done()
        _require_user(request.user)
        if not await self._devices.remove(request.user, request.id):
            raise NotFound("device")
        return Done()

    async def preferences_get(self, request: PreferencesGetRequest) -> PreferencesResult:
        """List what a user said."""
        _require_user(request.user)
        if self._remembered is None:
            return await self._preferences_of(request.user)
        words = await self._remembered.preferences.get(request.user)
        return preferences_result(words.preferences, words.rules)

    async def preferences_set(self, request: PreferencesSetRequest) -> PreferencesResult:
        """Take what a user says; answers everything said so far."""
        _require_user(request.user)
        words = words_of(request.preferences, self._settings)
        if changes_rules(request):
            before = await self._preferences.rules_of(request.user)
            devices = await self._devices.find(DeviceFilter(users=(request.user,)), after="", limit=_DEVICES_READ)
            rules = changed_rules(before, request, devices, self._settings)
            check_ways(rules, request, [*await self._preferences.of_user(request.user), *words])
            await self._preferences.change(request.user, words, rules)
        elif words:
            await self._preferences.set(request.user, words)
        else:
            raise BadInput("preferences", "must hold at least one preference where nothing else is given")
        return await self._preferences_of(request.user)

    async def _preferences_of(self, user: str) -> PreferencesResult:
        return preferences_result(await self._preferences.of_user(user), await self._preferences.rules_of(user))


def _require_user(user: str) -> None:
    if not user:
        raise BadInput("user", "must not be empty")


def _status(status: NotificationStatus) -> StatusResult:
    notification = status.notification
    return StatusResult(
        NotificationItem(
            id=notification.id,
            user=notification.user,
            state=notification.state,
            priority=notification.lane.name.lower(),
            category=notification.content.category,
            created_at=notification.created_at.timestamp(),
            expires_at=notification.expires_at.timestamp(),
            steps=[_step(entry) for entry in status.entries],
            marks={marked.mark.value: round(marked.at.timestamp(), 3) for marked in status.marks} or UNSET,
            experiment=notification.experiment or UNSET,
            variant=notification.variant or UNSET,
            digested_into=status.digested_into or UNSET,
        )
    )


def _step(entry: Entry) -> StepItem:
    return StepItem(
        route=entry.route,
        outcome=entry.outcome,
        time=round(entry.at.timestamp(), 3),
        provider=entry.provider,
        address=entry.address,
        device_id=entry.device_id,
        attempt=entry.attempt,
        detail=entry.detail,
    )
