"""Times as people read them: how long something took."""

from datetime import timedelta

from django.utils.formats import number_format
from django.utils.translation import gettext as _

MINUTE, HOUR, DAY = 60, 60 * 60, 24 * 60 * 60


def lasting(duration: timedelta) -> str:
    """Return a duration in the two units that say most of it, in the language of the request.

    A clock that was set back in between makes it negative, which is shown as nothing.
    """
    seconds = max(0.0, duration.total_seconds())
    if seconds < 0.001:
        return _("0 s")
    if seconds < 1:
        return _("%(count)d ms") % {"count": round(seconds * 1000)}
    if seconds < 10:
        return _("%(count)s s") % {"count": number_format(round(seconds, 1), 1)}
    whole = round(seconds)
    if whole < MINUTE:
        return _("%(count)d s") % {"count": whole}
    if whole < HOUR:
        minutes, rest = divmod(whole, MINUTE)
        return _("%(minutes)d min %(seconds)d s") % {"minutes": minutes, "seconds": rest}
    if whole < DAY:
        hours, rest = divmod(whole, HOUR)
        return _("%(hours)d h %(minutes)d min") % {"hours": hours, "minutes": rest // MINUTE}
    days, rest = divmod(whole, DAY)
    return _("%(days)d d %(hours)d h") % {"days": days, "hours": rest // HOUR}
