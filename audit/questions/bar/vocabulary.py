"""The words of the question bar, and what each of them means.

Types, fields, roles, actions and interfaces are made of the catalogue, so that what is declared
there is understood here. What is written down here is English: other words for the same, and the
small words that hold a sentence together.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass

from audit import policy
from audit.questions.bar.tokens import word_set
from audit.questions.filters import POSITION, EntryFilter
from organizations.roles import Role

KEYWORDS: dict[str, str] = {
    name: name
    for name in EntryFilter.base_filters
    if name not in (*POSITION, "tz") and not name.startswith("exclude_")
} | {
    "by": "actor",
    "who": "actor",
    "user": "actor",
    "did": "action",
    "kind": "actor_type",
    "path": "resource",
    "from": "ip",
    "via": "interface",
    "changed": "field",
    "during": "when",
    "program": "user_agent",
    "role": "actor_role",
}
"""What may stand before a colon, and the parameter that it means."""

LABELS = {
    "actor": "by",
    "actor_type": "kind of actor",
    "actor_role": "role of the actor",
    "action": "action",
    "type": "type",
    "resource": "resource",
    "result": "result",
    "reason": "reason",
    "severity": "severity",
    "ip": "from",
    "user_agent": "program",
    "request": "request",
    "interface": "via",
    "field": "changed field",
    "became": "became",
    "was": "was",
    "hours": "at",
    "days": "on",
    "id": "id",
    "q": "name contains",
    "by": "counted by",
    "at_least": "at least",
    "limit": "at most",
    "order": "order",
}
"""How a parameter is called in what was understood."""

LOOKS = ("read", "decrypt", "retrieve", "view")
"""What "who read it?" asks for: secrets are decrypted, keys retrieved, the log is viewed."""

LEVELS = ("project", "target", "environment")
PEOPLE_TYPES = ("user", "membership", "invitation")


# -- Deeds


@dataclass(frozen=True)
class Deed:
    """A word for something that is done.

    name: of the verb, which `meaning` makes parameters of; form: past, base, ing or noun.
    """

    name: str
    form: str


_VERBS: tuple[tuple[str, str, str], ...] = (
    # name, verbs (with past forms that are irregular), nouns
    ("create", "create, make/made, set up/set up, register", "creation"),
    ("add", "add", "addition"),
    ("update", "update, edit, modify, alter, amend", "update, edit, modification, alteration"),
    ("change", "change, write/wrote/written", "change, mutation, write"),
    ("delete", "delete, destroy, erase, wipe, drop/dropped", "deletion, destruction"),
    ("remove", "remove, kick out/kicked out, offboard, terminate", "removal, termination"),
    ("rename", "rename", "renaming, rename"),
    ("grant", "grant, give/gave/given, assign", "grant, assignment"),
    ("revoke", "revoke, withdraw/withdrew/withdrawn, take away/took away", "revocation"),
    ("rotate", "rotate, roll over/rolled over", "rotation, rollover"),
    ("re_encrypt", "re-encrypt/re-encrypted, reencrypt", "re-encryption, reencryption"),
    ("rewrap", "rewrap/rewrapped, re-wrap/re-wrapped", "rewrapping"),
    ("retrieve", "retrieve, fetch", "retrieval"),
    (
        "read",
        "read/read, see/saw/seen, view, look at/looked at, open, reveal, look into/looked into",
        "read, view, reveal",
    ),
    ("access", "access", ""),
    ("decrypt", "decrypt", "decryption"),
    ("restore", "restore, recover, undelete", "restoration, recovery"),
    ("purge", "purge", "purge"),
    ("invite", "invite", "invitation"),
    ("join", "join", ""),
    ("accept", "accept", "acceptance"),
    ("leave", "leave/left, quit/quit", "departure"),
    ("export", "export, download", "export, download"),
    (
        "sign_in",
        "sign in/signed in, log in/logged in, login/logged-in, log on/logged on, sign on/signed on"
        ", authenticate",
        "sign-in, signin, login, log-in, logon, authentication",
    ),
    (
        "sign_out",
        "sign out/signed out, log out/logged out, log off/logged off",
        "sign-out, signout, logout, log-out, logoff",
    ),
    ("promote", "promote, demote", "promotion, demotion"),
    ("push", "push, upload", "push, upload"),
    ("pull", "pull", "pull"),
    ("use", "use", "use, usage"),
    ("touch", "touch, handle, work on/worked on, deal with/dealt with", ""),
    ("hold", "", "legal hold"),
    ("retention", "", "retention removal, retention run, removal under retention"),
    ("lift_hold", "lift, release", ""),
    (
        "switch_custody",
        "switch custody/switched custody",
        "custody switch, switch of custody, custody",
    ),
    ("seal", "seal", ""),
    ("reset_password", "", "password reset, password resets, reset of the password"),
    ("change_password", "", "password change, password changes"),
    ("try", "try/tried, attempt", ""),
)


def _inflected(verb: str) -> Iterator[tuple[str, str]]:
    """Each form of a verb: create, creates, created, creating; of "sign in" those of "sign"."""
    base, *pasts = verb.split("/")
    yield base, "base"
    first, _, rest = base.partition(" ")
    rest = f" {rest}" if rest else ""
    if first.endswith("y") and first[-2] not in "aeiou":
        third, past = f"{first[:-1]}ies", f"{first[:-1]}ied"
    else:
        third = f"{first}es" if re.search("(?:s|x|z|ch|sh)$", first) else f"{first}s"
        past = f"{first}d" if first.endswith("e") else f"{first}ed"
    yield f"{third}{rest}", "base"
    for each in pasts or [f"{past}{rest}"]:
        yield each.strip(), "past"
    stem = first[:-1] if first.endswith("e") and not first.endswith("ee") else first
    for ing in (f"{stem}ing{rest}", f"{stem}{stem[-1]}ing{rest}"):
        yield ing, "ing"


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return f"{word[:-1]}ies"
    return f"{word}es" if re.search("(?:s|x|z|ch|sh)$", word) else f"{word}s"


def _deeds() -> dict[str, Deed]:
    found: dict[str, Deed] = {}
    for action in policy.ACTIONS:
        # What the catalogue calls it, whether or not it is among the verbs above.
        spoken = action.name.replace("_", " ")
        forms = [(spoken, "noun"), (action.label, "past")] if " " in spoken else _inflected(spoken)
        found |= {form: Deed(action.name, kind) for form, kind in forms}
    for name, verbs, _ in _VERBS:
        for verb in filter(None, verbs.split(", ")):
            found |= {form: Deed(name, kind) for form, kind in _inflected(verb)}
    for name, _, nouns in _VERBS:
        for noun in filter(None, nouns.split(", ")):
            found |= dict.fromkeys((noun, _plural(noun)), Deed(name, "noun"))
    # A secret that is read is read; that somebody reads is the same word.
    found |= {"read": Deed("read", "past"), "left": Deed("leave", "past")}
    return {word: deed for word, deed in found.items() if word not in _NO_DEEDS}


_NO_DEEDS = frozenset(
    {"attempt", "attempts", "hold", "holds", "access", "accesses", "tries", "try", "open", "opens"}
)
"""Rather nouns, adjectives or other words."""

DEEDS = _deeds()

TRIED = frozenset(
    {"tried to", "tries to", "attempted to", "attempt to", "attempts to", "trying to"}
)

ACTION_VALUES: dict[str, tuple[str, ...]] = {
    "create": ("create",),
    "update": ("update",),
    "change": ("changes",),
    "delete": ("delete",),
    "read": LOOKS,
    "access": LOOKS,
    "push": ("create", "update"),
    "pull": ("read", "decrypt"),
    "accept": ("join",),
    "retention": ("remove", "drop"),
    "leave": ("leave",),
    "hold": ("hold", "lift_hold"),
    "rename": ("update",),
    "remove": ("delete", "leave"),
    "add": ("create", "invite", "join"),
    "promote": ("update",),
}
"""What a verb asks for, where that is not the action of its name."""


def actions_named(word: str) -> tuple[str, ...]:
    """The actions that `word` means as a value of `action:`: deleted, sign-ins, access changes."""
    spoken = " ".join(word.lower().replace("_", " ").split())
    if spoken.replace(" ", "_") in _KNOWN_ACTIONS:
        return (spoken.replace(" ", "_"),)
    if spoken in GROUPS:
        return (GROUPS[spoken],)
    deed = DEEDS.get(spoken)
    if deed is None or deed.name in ("use", "touch", "try"):
        return ()
    return ACTION_VALUES.get(deed.name, (deed.name,))


_KNOWN_ACTIONS = frozenset(action.name for action in policy.ACTIONS)


# -- Named groups of actions


def _groups() -> dict[str, str]:
    """The words of each named group of actions of the catalogue."""
    found: dict[str, str] = {}
    for group in policy.ACTION_GROUPS:
        if group.name == "changes":
            continue  # "changed" is a verb as others are
        found[group.label] = group.name
        found[group.label.removesuffix("s")] = group.name
        found[group.name] = group.name
        if group.label.endswith(" changes"):
            topic = group.label.removesuffix(" changes")
            for form in (f"changes of {topic}", f"changes to {topic}", f"changed {topic}"):
                found[form] = group.name
    found["security events"] = found["security-relevant changes"] = "security_changes"
    found["organization membership changes"] = "access_changes"
    found |= {"permission changes": "access_changes", "permissions changes": "access_changes"}
    found |= {"access control changes": "access_changes", "changes in access": "access_changes"}
    found |= {"rights changes": "access_changes", "membership changes": "access_changes"}
    return found


GROUPS = _groups()


# -- Types


def _types() -> dict[str, tuple[str, ...]]:
    """The types that each word stands for, in the singular and the plural. A type of just this
    name is meant alone: secrets are not their versions."""
    found: dict[str, tuple[str, ...]] = {}
    for word, names in policy.spoken_types().items():
        own = [name for name in names if policy.RESOURCE_TYPES[name].lower() == word]
        found[word] = found[_plural(word)] = tuple(own or names)
    for name, spec in policy.TYPES.items():
        for word in (name, *spec.called.typed):
            spoken = word.replace("_", " ")
            found.setdefault(spoken, (name,))
            found.setdefault(_plural(spoken), (name,))
    return found | _MORE_TYPES


_MORE_TYPES: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(("token", "tokens"), ("access_token", "api_key")),
    **dict.fromkeys(("api token", "api tokens"), ("api_key",)),
    **dict.fromkeys(("invite", "invites"), ("invitation",)),
    **dict.fromkeys(("organisation", "organisations"), ("organization",)),
    **dict.fromkeys(("organization settings", "organization's settings"), ("organization",)),
    **dict.fromkeys(("organisation settings", "settings"), ("organization",)),
    **dict.fromkeys(("version", "versions"), ("secret_version", "key_version")),
    **dict.fromkeys(("audit trail", "audit logs", "logs", "audit"), ("audit_log",)),
    **dict.fromkeys(("variables", "env file", "env files", ".env"), ("secret",)),
    **dict.fromkeys(("shared view", "shared views"), ("saved_view",)),
    **dict.fromkeys(("team member", "team members"), ("membership",)),
}

TYPES = _types()
PEOPLE = word_set(
    """
    user users member members person people account accounts individual individuals human
    humans employee employees colleague colleagues teammate teammates
    """
)
"""Words for people: who acts, unless something was done to them."""
LOG = frozenset({"log", "logs", "audit log", "audit logs", "audit trail", "audit"})
KEYS = frozenset(TYPES["key"])
"""The types of what is called a key."""


# -- Fields


def _fields() -> dict[str, tuple[str, ...]]:
    """The recorded fields, in words: `expires at`, `history policy`."""
    names = {name for spec in policy.RESOURCES for name in spec.recorded}
    found: dict[str, tuple[str, ...]] = {}
    for name in sorted(names):
        found[name] = (name,)
        spoken = name.removesuffix("_id").replace("_", " ")
        if spoken not in TYPES:
            found[spoken] = (name,)
        if name.startswith("is_"):
            found[spoken.removeprefix("is ")] = (name,)
    found |= {
        "email address": ("email",),
        "email addresses": ("email",),
        "emails": ("email",),
        "e-mail": ("email",),
        "e-mail address": ("email",),
        "e-mail addresses": ("email",),
        "expiry": ("expires_at",),
        "expiration": ("expires_at",),
        "expiry date": ("expires_at",),
        "scope": ("scopes",),
        "roles": ("role",),
        "retention": ("history_retention_days",),
    }
    found.pop("production", None)  # rather the name of an environment
    found.pop("version", None)
    found.pop("active", None)
    return {word: fields for word, fields in found.items() if word not in ("organization",)}


FIELDS = _fields()

PERMISSIONS = word_set(
    """
    permission permissions rights privilege privileges abilities access
    """
)


# -- Roles, results, interfaces, kinds of actors


def _roles() -> dict[str, str]:
    found = {}
    for role in Role:
        spoken = role.value.replace("_", " ")
        for word in (spoken, str(role.label).lower()):
            found[word] = found[_plural(word)] = role.value
    return {word: role for word, role in found.items() if word not in ("member", "members")}


ROLES = _roles()
ALL_ROLES = ROLES | {"member": Role.MEMBER.value, "members": Role.MEMBER.value}

RESULTS: dict[str, tuple[str, ...]] = {
    **dict.fromkeys(
        ("bad", "failed", "failing", "failure", "failures", "fail", "fails"), ("failed",)
    ),
    **dict.fromkeys(
        ("denied", "refused", "rejected", "forbidden", "blocked", "denial", "denials", "refusal")
        + ("refusals", "unauthorized", "unauthorised", "access denied", "permission denied")
        + ("401", "401s", "403", "403s", "429", "429s", "permission error", "permission errors")
        + ("access error", "access errors", "access violation", "access violations")
        + ("authorization failures", "authorization errors", "unauthorized access")
        + ("turned away", "not allowed", "not authorized", "not permitted", "disallowed"),
        ("denied",),
    ),
    **dict.fromkeys(("unsuccessful", "unsuccessfully", "in vain"), ("failed", "denied")),
    **dict.fromkeys(
        ("successful", "successfully", "succeeded", "succeed", "success"), ("success",)
    ),
    **dict.fromkeys(("allowed", "successes"), ("success",)),
}
FAILURES = ("failed", "denied")
RESULT_VALUES = {result.value: result.value for result in policy.Result} | {
    word: values[0] for word, values in RESULTS.items() if len(values) == 1
}

REASONS: dict[str, dict[str, tuple[str, ...]]] = {
    word: {"action": ("sign_in",), "result": ("failed",), "reason": (reason,)}
    for words, reason in (
        (
            "wrong password, wrong passwords, bad password, bad passwords, incorrect password,"
            " incorrect passwords, invalid password, invalid passwords, mistyped passwords,"
            " wrong credentials, bad credentials",
            "wrong_password",
        ),
        (
            "unknown account, unknown accounts, unknown user, unknown users, nonexistent account,"
            " nonexistent accounts",
            "unknown_account",
        ),
        ("inactive account, inactive accounts, disabled accounts", "inactive"),
    )
    for word in words.split(", ")
}

INTERFACES: dict[str, str] = {
    interface.value: interface.value for interface in policy.Interface
} | {
    "browser": "web",
    "browsers": "web",
    "website": "web",
    "web site": "web",
    "web ui": "web",
    "web interface": "web",
    "pages": "web",
    "ui": "web",
    "command line": "cli",
    "terminal": "cli",
    "command-line": "cli",
    "dotenv command": "cli",
    "rest api": "api",
    "http api": "api",
    "admin site": "admin",
    "admin pages": "admin",
    "admin console": "admin",
    "admin interface": "admin",
    "django admin": "admin",
    "management command": "command",
    "management commands": "command",
    "psql": "database",
    "sql": "database",
}
SURE_INTERFACES = frozenset(
    {"cli", "command line", "command-line", "browser", "psql", "terminal", "management command"}
    | {"management commands", "admin site", "admin pages", "django admin", "web ui", "rest api"}
    | {"website", "dotenv command", "admin console", "sql"}
)
"""Those that mean an interface wherever they stand; others after "via" and the like."""

ACTOR_KINDS: dict[str, str] = {
    **dict.fromkeys(("people", "humans", "persons", "users", "members"), "user"),
    **dict.fromkeys(("a person", "a human", "a user", "human", "individual user"), "user"),
    **dict.fromkeys(("api keys", "an api key", "keys", "machines", "bots", "a bot"), "api_key"),
    **dict.fromkeys(("robots", "scripts", "automation", "service accounts"), "api_key"),
    **dict.fromkeys(("the system", "system"), "system"),
    **dict.fromkeys(("anonymous users", "anonymous user", "anonymous", "strangers"), "anonymous"),
    **dict.fromkeys(("nobody signed in", "unauthenticated users"), "anonymous"),
    **dict.fromkeys(("the database", "database"), "database"),
}
SURE_ACTOR_KINDS = frozenset(
    {"anonymous users", "anonymous user", "anonymous", "the system", "individual user", "strangers"}
    | {"unauthenticated users", "automation"}
)

SEVERITIES: dict[str, str] = {
    **dict.fromkeys(("warning", "warnings", "severe", "critical", "serious"), "warning"),
    **dict.fromkeys(("notice", "notices"), "notice"),
    **dict.fromkeys(("info entries", "info events", "severity info"), "info"),
}


# -- Counting


COUNTED_BY: dict[str, str] = {
    **dict.fromkeys(PEOPLE | {"actor", "actors", "who", "whom"}, "actor"),
    **dict.fromkeys(("resource", "resources", "thing", "things", "object", "objects"), "resource"),
    **dict.fromkeys(("secret", "secrets", "environment", "environments"), "resource"),
    **dict.fromkeys(("target", "targets", "path", "paths"), "resource"),
    **dict.fromkeys(("project", "projects"), "project"),
    **dict.fromkeys(("action", "actions", "type of action", "kind of action"), "action"),
    **dict.fromkeys(("operation", "operations", "event type", "type of event"), "action"),
    **dict.fromkeys(("address", "addresses", "ip", "ips", "ip address", "ip addresses"), "ip"),
    **dict.fromkeys(("source ip", "source ips", "source address", "source addresses"), "ip"),
    **dict.fromkeys(("origin", "client ip", "source"), "ip"),
    **dict.fromkeys(("program", "programs", "client", "clients", "user agent"), "user_agent"),
    **dict.fromkeys(("user agents", "agent", "tool", "tools", "software"), "user_agent"),
    **dict.fromkeys(("browser", "browsers"), "user_agent"),
    **dict.fromkeys(("day", "days", "date"), "day"),
    **dict.fromkeys(("hour", "hours", "hour of the day"), "hour"),
    **dict.fromkeys(("interface", "interfaces", "way"), "interface"),
    **dict.fromkeys(("type", "types", "resource type", "type of resource"), "type"),
    **dict.fromkeys(("result", "results", "outcome", "outcomes"), "result"),
    **dict.fromkeys(("severity", "severities"), "severity"),
    **dict.fromkeys(("api key", "api keys", "key", "keys"), "actor"),
}
PERIODIC = {"daily": "day", "hourly": "hour", "busiest day": "day", "busiest hour": "hour"}


# -- Words that hold a sentence together


NEGATORS = word_set(
    """
    not except excluding excludes exclude without besides ignoring minus outside never nobody
    none neither nor no nothing noone nowhere didn't wasn't weren't isn't aren't hasn't
    haven't hadn't doesn't don't couldn't can't cannot wouldn't omitting skipping skip ignore
    omit hide hiding suppress suppressing barring sans w/o excl
    """
)
NEGATING_PHRASES = frozenset(
    {"other than", "apart from", "but not", "but for", "aside from", "rather than", "instead of"}
    | {"no one", "leaving out", "leave out", "and not", "everything but", "everyone but"}
    | {"anyone but", "anything but", "all but", "anybody but", "everybody but"}
    | {"with the exception of", "filter out", "filtering out", "as opposed to", "save for"}
    | {"not including", "not counting", "not considering", "not showing", "get rid of"}
    | {
        f"{do} {show}"
        for do in ("don't", "do not")
        for show in ("show", "include", "list", "count")
    }
)
EXCLUDING = word_set(
    """
    except excluding excludes exclude without besides ignoring minus outside omitting skipping
    skip ignore omit hide hiding suppress suppressing barring sans w/o excl
    """
) | (NEGATING_PHRASES - {"no one"})
"""Those after which any filter is left out; after `not` some are, and a verb never."""

PREPOSITIONS = word_set(
    """
    in on of for from under below within inside into at to about against by with via through
    using over involving concerning regarding affecting across between as than
    """
)
ARTICLES = word_set(
    """
    the a an all any our my your every each some this that these those
    """
)
AUXILIARIES = word_set("did does do has have had")
BEING = word_set("was were is are been be being get got gets getting")

FILLERS = word_set(
    """
    date dates taken initiated including trend breakdown error errors resource resources
    turned right
    a an all the any our this that these those there some every each please kindly can you
    could me us we i'd i've for to of in on at by with as from into and or also just only
    again ever was were is are am be been being get got gets getting had has have did do does
    done doing who whom whose what which when where how anything something everything things
    thing anybody anyone somebody someone everybody everyone many much often times time show
    list find give display tell see pull fetch look search query report want need needs like
    would know let's let happened happen happens happening went go going out up it its they
    them their he she his her him then now so far if whether both either one ones run action
    actions event events activity activities record records entry entries operation operations
    item items history trail request requests call calls audit log logs logged information
    info details detail data full complete whole entire overview summary summarize summarise
    track down determine check identify locate recorded relating related involving regarding
    concerning about specific certain particular various different made whoever whatever
    anytime whenever attempt attempts attempted attempting performed carried took place
    occurred occur came come comes coming review security investigate i last recent recently
    latest newest ip address addresses network source user users' name named called 's hi
    hello hey thanks thank question answer present total overall still currently current
    already today's new newly under within inside below against affecting across permanently
    completely accidentally actually exactly same file files system logging result results
    individual someone's anyone's own production's etc while via through using over between
    versus vs per sent placed but else bot robot job pipeline script fingerprint ulid id ids
    team company active sum caused cause causes holds hold provide supply evidence stuff lately
    rn requested filter actor ordered severity timeline lifecycle story trace associated connected
    """
)
"""Words that say nothing to a filter where no other rule took them. In quotes they are names."""

WHOLE_LOG = frozenset(
    {"everything", "audit log", "audit trail", "audit logs", "full log", "whole log", "entire log"}
    | {"all events", "all entries", "all activity", "all activities", "all actions", "all records"}
    | {"all logs", "the log", "the logs", "full history", "anything at all", "all operations"}
    | {"all of it", "full audit", "all audit events", "everything that happened"}
)

UNANSWERABLE: dict[str, str] = {
    "why": "Entries do not say why. A reason, if one was given, is in the entry.",
    **dict.fromkeys(
        ("should", "shouldn't", "ought", "shall", "must", "allowed to", "supposed"),
        "Entries show what was done, not what ought to be.",
    ),
    **dict.fromkeys(
        ("will", "going to", "tomorrow", "planned", "scheduled", "next week", "next month"),
        "Entries show what has happened, not what will.",
    ),
    **dict.fromkeys(
        word_set(
            """
            unusual suspicious suspiciously anomalous anomaly anomalies abnormal malicious
            weird strange odd compromised hacked leaked stolen breach breached legitimate
            legit normal expected unexpected risky dangerous good
            """
        ),
        "That is a judgement; entries show what was done, by whom and from where.",
    ),
    **dict.fromkeys(
        ("mfa", "2fa", "second factor", "two-factor", "sso"),
        "Second factors are not recorded.",
    ),
    **dict.fromkeys(
        ("mail", "mails", "received", "receive", "notified", "notification"),
        "Mails are not recorded; that one was asked for is.",
    ),
    **dict.fromkeys(
        ("accidentally", "by mistake", "intentionally", "on purpose", "deliberately"),
        "Entries do not say whether it was meant.",
    ),
}
"""Words that change what is asked in a way that no filter can; struck out, with the reason."""

FOREIGN: Mapping[str, frozenset[str]] = {
    "German": word_set(
        """
    wer hat haben wann welche welcher welches wurde wurden gelöscht geändert gestern heute
    letzte letzten woche alle zeige und oder nicht von der das den dem ein eine wie viele sich
    war ist im alles löschungen änderungen geheimnisse anmeldung gelesen zugriff
    angemeldet erstellt umgebung schlüssel anmeldungen fehlgeschlagene projekt
    """
    ),
    "French": word_set(
        """
    qui quand quel quelle quels quelles est les des une dans hier aujourd'hui supprimé modifié
    créé montre montrez combien pour avec sur cette semaine connexions échouées dernier
    dernière depuis par tous toutes l'environnement combien ont été lus lu lue supprimés
    supprimée suppressions par-qui montre-moi affiche clé clés
    """
    ),
    "Spanish": word_set(
        """
    quién quien cuándo cuando qué cuál cuáles fue ayer hoy borró eliminó cambió creó muestra
    mostrar los las una por para del entorno semana pasada todos todas cuántos ha
    """
    ),
    "Italian": word_set(
        """
    chi ha quando quale quali ieri oggi eliminato cancellato modificato creato mostra gli
    della dello nel nella settimana scorsa tutti tutte quanti l'ambiente
    """
    ),
    "Portuguese": word_set(
        """
    quem quando qual quais foi ontem hoje apagou excluiu alterou criou mostrar os uma semana
    passada todos todas quantos ambiente
    """
    ),
    "Dutch": word_set(
        """
    wie heeft hebben wanneer welke werd verwijderd gewijzigd gisteren vandaag vorige alle toon
    niet van het een omgeving hoeveel aanmeldingen
    """
    ),
    "Polish": word_set(
        """
    kto kiedy usunął zmienił wczoraj dzisiaj pokaż wszystkie jest
    """
    ),
    "Danish": word_set("hvem hvad hvornår slettet ændret projektet miljøet vis alle har er"),
    "Norwegian": word_set("hvem hva når slettet endret prosjektet prosjekt miljøet vis alle har"),
    "Czech": word_set("kdo kdy smazal změnil včera dnes projekt všechny ukaž"),
    "Turkish": word_set("kim ne zaman sildi değiştirdi dün bugün tüm göster projeyi"),
    "Finnish": word_set("kuka milloin poisti muutti eilen tänään näytä kaikki projektin"),
    "Swedish": word_set("vem har när vilka raderade ändrade igår idag visa alla inte"),
}
"""Words that say in which other language a question is."""

PRONOUNS = frozenset({"he", "she", "it", "they", "him", "her", "them", "this", "that"})


def language() -> Iterable[str]:
    """Every word that is understood, for what may have been meant by one that is not."""
    phrases: Sequence[Iterable[str]] = (
        DEEDS, TYPES, FIELDS, ROLES, RESULTS, SURE_INTERFACES, COUNTED_BY, NEGATORS, PREPOSITIONS,
        FILLERS, SEVERITIES, PEOPLE, GROUPS, PERIODIC, _TIME_WORDS,
    )  # fmt: skip
    return {word for words in phrases for phrase in words for word in phrase.split()}


_TIME_WORDS = word_set(
    """
    today yesterday monday tuesday wednesday thursday friday saturday sunday january february
    march april june july august september october november december week weeks weekend month
    months quarter year years since until before after between night morning afternoon evening
    office hours outside weekends minute minutes second seconds hour days
    """
)


def excluded_actions(deed: Deed) -> tuple[str, ...]:
    """The actions that are left out with a deed; none for a word that may be any."""
    if deed.name in ("use", "touch", "try"):
        return ()
    return ACTION_VALUES.get(deed.name, (deed.name,))
