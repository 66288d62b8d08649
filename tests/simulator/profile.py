"""The rates of the simulated world, and the dates at which WhatsApp changed its webhooks.

Every rate says where it comes from: "pinned" is a figure fixed for the published accuracy table
and changed only together with it; "assumption" is ours, with no public source; a page is named
where one exists. A rate per year is an intensity per year in which the person has WhatsApp.
"""

from dataclasses import dataclass, fields, replace
from datetime import UTC, datetime

SECOND = 1
MINUTE = 60
HOUR = 3600
DAY = 86400
YEAR = 365 * DAY


def utc(year: int, month: int, day: int) -> int:
    """Midnight UTC of a day, in epoch seconds."""
    return int(datetime(year, month, day, tzinfo=UTC).timestamp())


# The world ends here (exclusive); it starts `years` times 365 days before.
END = utc(2026, 11, 23)

# Dates from Meta's page "Business-scoped user IDs" and its changelog, unless said otherwise.
BSUID_START = utc(2026, 4, 6)  # "early April 2026": first real BSUIDs, contact book starts
STATUS_BSUID_START = utc(2026, 5, 4)  # statuses of sends to a phone carry recipient_user_id
PARENT_START = utc(2026, 6, 1)  # assumption: the day our two portfolios were enrolled
ROTATION_GEN2 = utc(2026, 5, 4)  # user_changed_user_id, the old BSUID in free text only
ROTATION_GEN3 = utc(2026, 8, 11)  # previous_user_id in a field of its own
USER_ID_UPDATE = (utc(2026, 4, 6), utc(2026, 8, 11))  # documented Mar 18, withdrawn Aug 11
USERNAME_START = utc(2026, 7, 7)  # integrators' reports of the first user usernames
USERNAME_ROLLOUT_DAYS = 100  # assumption: adoption spreads evenly until mid October
BSUID_SEND_START = utc(2026, 7, 20)  # integrators tested sends to a BSUID from July 20
CONTACT_REQUEST_START = utc(2026, 7, 7)  # REQUEST_CONTACT_INFO button, "early July"
HIDING_START = utc(2026, 8, 17)  # first phone-less inbound seen in the wild on Aug 23
REVOKE_IDS = utc(2026, 5, 4)  # revocations carry from_user_id
EDIT_IDS = utc(2026, 6, 12)  # edits and echoes of both do
STANDBY_START = utc(2026, 8, 4)
GROUPS_START = utc(2026, 5, 11)
HISTORY_DAYS = 180  # Meta's guide to onboarding app users: up to six months of chats
VISIBILITY_WINDOW = 30 * DAY  # per business phone number


@dataclass(frozen=True)
class Profile:
    """The rates of one simulated world. Defaults are those of `base`."""

    name: str = "base"

    # --- persons and traffic -------------------------------------------------------------
    # pinned: inbound messages per person and year (mean of a log-normal, over everybody)
    messages_per_year: float = 8.0
    # assumption: persons who never write; the others write so much more
    silent: float = 0.1
    # assumption: spread of the log-normal (median 4.9 a year, one person in 100 over 50)
    messages_sigma: float = 1.0
    # assumption: inbound messages that are answered
    reply_share: float = 0.5
    # assumption: what the business starts itself (notices, codes, campaigns), per person and year
    notices_per_year: float = 4.0
    # assumption: new customers whose number the business has from the first day (checkout, sign-up,
    # a bought list), so that it may write first; the others write before anybody knows their number
    listed: float = 0.3
    # assumption: what the notices are, as their pricing says; the others are utility
    marketing: float = 0.5
    authentication: float = 0.1
    # assumption: changes of number that the customer tells the business himself, within a month and
    # where no webhook shows it (in an account, on the telephone)
    tells_number: float = 0.2
    # assumption: a person who is a customer of a second portfolio as well
    second_portfolio: float = 0.2
    # assumption: notices to a number whose owner left it go on so long; failed and unread
    # sends then take it off the list. Beyond the quarantine they reach the next owner.
    stale_campaign_days: float = 75.0
    # calm only: an inbound message at least this often (days), so that no silence is unbounded
    keepalive_days: float | None = None

    # --- accounts and numbers ------------------------------------------------------------
    # pinned: a year (industry churn surveys name 10 to 35 %), with and without return
    number_change: float = 0.15
    # assumption: share of changes that go back to the old number after 20 to 120 days
    change_return: float = 0.10
    # assumption, undocumented by Meta: on the way back the old BSUID is given out again
    return_restores_bsuid: float = 0.25
    # assumption: the new number is of another country, and so is the BSUID's prefix
    change_country: float = 0.03
    # pinned: a year; the number is released
    leave: float = 0.10
    # pinned (days); FCC 47 CFR 52.15(f)(1)(ii) allows 45 to 90 for residential numbers
    quarantine_days: float = 60.0
    # pinned: share of new numbers that somebody else had before
    recycled: float = 0.30
    # assumption: account deleted and registered again on the same number, a year; new BSUID
    reregistration: float = 0.005
    # assumption: new phone or reinstall, a year; same ids, only an identity-key event
    reinstall: float = 0.02
    # assumption: share of key changes that reach a business (it must switch the check on)
    identity_event: float = 0.3
    # assumption: share of persons whose account a second person also writes from: a couple
    shared_handset: float = 0.0005
    # assumption: persons who are somebody's second phone, with an account and BSUIDs of its own
    # and the same name: nothing on the wire says so, and truth counts them as two
    second_phone: float = 0.02

    # --- names and usernames -------------------------------------------------------------
    # pinned: size of the vocabulary. The exponent of its Zipf law makes 7 persons in 100 "Maria"
    # (IBGE, Nomes no Brasil, 2010: 6.1) and, an assumption, 45 in 100 have one word only
    name_vocabulary: int = 5000
    name_exponent: float = 0.9
    name_change: float = 0.15  # pinned, a year
    # assumption: changes of name that add, drop or change the last name ("Ana" -> "Ana Souza")
    name_keeps_word: float = 0.75
    name_unusable: float = 0.01  # assumption: blank or symbols only
    username_adoption: float = 0.40  # pinned: share of persons on WhatsApp after the start
    username_change: float = 0.40  # pinned, a year, of those who have one
    username_release: float = 0.05  # assumption, a year: given up and not replaced
    username_reclaim: float = 0.005  # share of released handles taken by somebody else

    # --- what the business sees ----------------------------------------------------------
    # pinned for hostile (off); assumption else. "mixed": on, switched off, never on
    contact_book: str = "mixed"  # on | off | mixed
    # assumption: sends to the BSUID although the phone is known, from BSUID_SEND_START
    bsuid_send: float = 0.2
    # assumption: hidden customers who tap the contact-info button, per inbound message
    contact_request: float = 0.05
    edited: float = 0.01  # assumption: messages and echoes that are corrected within minutes
    revoked: float = 0.005  # assumption: those that are taken back
    contact_card: float = 0.005  # assumption: inbound messages that are somebody's card
    calls: float = 0.005  # assumption, per inbound message and per notice
    preferences: float = 0.006  # assumption, per notice
    persons_per_group: float = 400.0  # assumption: one group per so many persons
    # assumption: delivered, and read of those; the vendors' benchmarks lie around these
    delivered: float = 0.97
    read: float = 0.65
    failed: float = 0.02  # assumption: sends to a reachable account that fail all the same
    # assumption: of these, with the code of nobody being there (131026: an old app, terms not
    # accepted); the others are held back by Meta (131049)
    failed_as_unreachable: float = 0.3
    # assumption: sends to numbers that are not on WhatsApp, and how often one of them is tried
    never_reached: float = 0.003
    never_reached_tries: float = 1.5
    # assumption: the day one coexistence number comes to the API (epoch seconds). Before, it is in
    # the app only; then the chats of HISTORY_DAYS are synced, and the address book
    coexistence_onboarded: int = utc(2026, 5, 25)
    # assumption: chats with numbers whose owner has left them meanwhile are synced, too
    history_gone: bool = True
    address_book: float = 0.3  # assumption: synced chats whose person the business saved
    echo: float = 0.4  # assumption: replies typed in the app, on coexistence numbers
    echo_named: float = 0.5  # assumption: from STATUS_BSUID_START; the name "may be absent"
    echo_phone_only: float = 0.2  # echoes without BSUID are seen (chatwoot#15175)
    # BR old accounts lack the ninth digit, MX 521, AR 549: share of such numbers whose
    # phone-only echoes and failed statuses show the other form (chatwoot#13808)
    phone_variant: float = 0.3

    # --- delivery ------------------------------------------------------------------------
    rotation_delivered: float = 0.90  # pinned, per change and portfolio
    rotation_copies: float = 0.2  # assumption: further business numbers that get a copy
    # assumption: May to August 2026 either phone "may be omitted" from the system message
    rotation_phones: float = 0.6
    user_id_update: float = 0.1  # assumption: rotations with the withdrawn webhook beside them
    lost: float = 0.001  # assumption, any other webhook (unavailable for over 7 days)
    duplicates: float = 0.01  # pinned; at-least-once delivery
    late: float = 0.03  # pinned
    late_max: float = 6 * HOUR  # pinned
    shuffled: bool = True  # lines of a file in any order
    outages: int = 3  # assumption: backlogs, delivered in bodies of up to 1000 updates
    batched: float = 0.02  # assumption: bodies with more than one update
    string_body: float = 0.002  # envelopes whose body is the raw string
    quirks: float = 0.002  # inbound with "" phones, ids in wrong slots, no profile, "@name"
    malformed: float = 0.0002  # lines that are no webhook, per body


BASE = Profile()

HOSTILE = replace(
    BASE,
    name="hostile",
    recycled=0.60,  # pinned
    quarantine_days=30.0,  # pinned
    rotation_delivered=0.50,  # pinned
    username_reclaim=0.05,  # pinned
    late=0.10,  # pinned
    late_max=5 * DAY,  # pinned
    contact_book="off",  # pinned
    reregistration=0.01,
    shared_handset=0.001,
    lost=0.005,
    malformed=0.001,
)

# Codes, deliveries and appointments: almost everybody is written to first, few ever write.
# All rates are assumptions.
NOTIFICATION = replace(
    BASE,
    name="notification",
    messages_per_year=1.0,
    silent=0.8,
    reply_share=0.7,
    notices_per_year=12.0,
    listed=1.0,
    marketing=0.05,
    authentication=0.45,
    tells_number=0.6,
)

# They write first and are answered; a reminder now and then. All rates are assumptions.
SUPPORT = replace(
    BASE,
    name="support",
    silent=0.0,
    reply_share=0.9,
    notices_per_year=0.5,
    listed=0.05,
    marketing=0.0,
    authentication=0.0,
    tells_number=0.05,
)

# Campaigns to old and bought lists, which nobody cleans. All rates are assumptions.
MARKETING = replace(
    BASE,
    name="marketing",
    messages_per_year=1.5,
    silent=0.6,
    notices_per_year=18.0,
    listed=0.9,
    marketing=0.95,
    authentication=0.0,
    tells_number=0.05,
    stale_campaign_days=540.0,
    never_reached=0.08,
    never_reached_tries=10.0,
    preferences=0.01,
)

# Everything that nobody can recover is switched off, so that truth and pipeline can agree
# exactly: number changes and usernames remain.
CALM = replace(
    BASE,
    name="calm",
    number_change=0.05,  # pinned
    recycled=0.0,  # pinned
    rotation_delivered=1.0,  # pinned
    lost=0.0,  # pinned
    duplicates=0.0,  # pinned
    late=0.0,  # pinned
    shuffled=False,  # pinned
    outages=0,
    contact_book="on",
    keepalive_days=90.0,
    coexistence_onboarded=utc(2025, 5, 15),
    history_gone=False,
    failed=0.0,
    silent=0.0,
    return_restores_bsuid=0.0,
    rotation_phones=1.0,
    user_id_update=0.0,
    reregistration=0.0,
    shared_handset=0.0,
    name_change=0.0,
    name_unusable=0.0,
    username_reclaim=0.0,
    phone_variant=0.0,
    quirks=0.0,
    malformed=0.0,
)

PROFILES = {
    profile.name: profile for profile in (CALM, BASE, NOTIFICATION, SUPPORT, MARKETING, HOSTILE)
}


def with_overrides(profile: Profile, pairs: dict[str, str]) -> Profile:
    """The profile with some rates replaced; values are read as the type of the default."""
    known = {field.name: getattr(profile, field.name) for field in fields(profile)}
    values: dict[str, object] = {}
    for key, text in pairs.items():
        if key not in known:
            raise ValueError(f"no such rate: {key}")
        old = known[key]
        if isinstance(old, bool):
            values[key] = text.lower() in ("1", "true", "yes")
        elif isinstance(old, int | float):
            values[key] = type(old)(float(text))
        elif old is None:
            values[key] = float(text)
        else:
            values[key] = text
    return replace(profile, **values)
