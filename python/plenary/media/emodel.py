"""What people would say of the sound: ITU-T's E-model, which adds up what impairs a connection.

    R = Ro - Is - Id - Ie,eff + A            and from R a mean opinion score, 1 to 4.5

Three models for three bandwidths, each with a scale of its own: G.107 (narrowband, R up to 93.2), G.107.1 (wideband,
129) and G.107.2 (fullband, 148). The R of all three lie on one line, which was made longer for each wider band; only
the way from R to an opinion is another one, since who is used to more expects more. So a score is only to be compared
with scores of the same model; and where speakers of several bandwidths are in one room, all are scored on the widest.

Of G.107 all of it is here, so that its own example can be checked. G.107.1 (06/2019) sets Ro to 129 and Is to 0; of it
and of G.107.2 codec, loss and absolute delay are here, which is what a server can know. Loudness, noise and echo are
the devices', and taken to be in order: none of the models' echo terms is in a score.

Where the figures come from, and which of them could not be checked: docs/decisions/quality-by-e-model.md.
"""

import math
from collections.abc import Iterable
from typing import Literal, NamedTuple

Model = Literal["G.107", "G.107.1", "G.107.2"]


class Scale(NamedTuple):
    """What tells the three models apart."""

    model: Model
    best: float
    """R of a connection without impairments (Ro - Is)."""
    worst_ie: float
    """What loss without end adds up to (95 in G.107 and G.107.1, 132 in G.107.2)."""
    length: float
    """How much longer than that of G.107: R is divided by it to be looked up among the opinions (G.107.1 equation A-1),
    and what delay impairs is multiplied by it (equation 7-13)."""


class Equipment(NamedTuple):
    scale: Scale
    ie: float
    bpl: float


NARROWBAND = Scale("G.107", 93.2, 95.0, 1.0)
WIDEBAND = Scale("G.107.1", 129.0, 95.0, 1.29)
FULLBAND = Scale("G.107.2", 148.0, 132.0, 1.48)

CODECS: dict[str, Equipment] = {
    "PCMU": Equipment(NARROWBAND, 0.0, 25.1),
    "PCMA": Equipment(NARROWBAND, 0.0, 25.1),
    "G722": Equipment(WIDEBAND, 13.0, 4.3),
    "opus": Equipment(FULLBAND, 20.2, 11.28),
}
"""By encoding name: equipment impairment, and robustness to loss."""


def opinion(codec: str, loss_percent: float, delay_ms: float, scale: Scale | None = None) -> float | None:
    """Mean opinion score (1 to 4.5) of what is heard of a speaker, on the scale of his codec or on a wider one; None
    for a codec that nothing is known of. `delay_ms` is from his mouth to the ear."""
    equipment = CODECS.get(codec)
    if equipment is None:
        return None
    own = equipment.scale
    length = own.length if scale is None else scale.length
    impaired = effective_ie(equipment.ie, equipment.bpl, loss_percent, worst=own.worst_ie)
    rating = own.best - length * delay_impairment(delay_ms) - impaired
    return mos(rating / length)


def widest(codecs: Iterable[str]) -> Scale | None:
    """The scale for a room whose members speak with these codecs; None if nothing is known of any."""
    scales = [CODECS[codec].scale for codec in codecs if codec in CODECS]
    return max(scales, key=lambda scale: scale.length, default=None)


def effective_ie(ie: float, bpl: float, loss_percent: float, burst_ratio: float = 1.0, worst: float = 95.0) -> float:
    """Ie,eff: what codec and loss impair together (G.107 equation 7-29)."""
    if loss_percent <= 0.0:
        return ie
    return ie + (worst - ie) * loss_percent / (loss_percent / burst_ratio + bpl)


def delay_impairment(delay_ms: float) -> float:
    """Idd: what too long a delay impairs although there is no echo (G.107 equation 7-27, sT = 1, mT = 100 ms), on the
    narrowband scale."""
    if delay_ms <= 100.0:
        return 0.0
    x = math.log10(delay_ms / 100.0) / math.log10(2.0)
    return 25.0 * ((1.0 + x**6) ** (1 / 6) - 3.0 * (1.0 + (x / 3.0) ** 6) ** (1 / 6) + 2.0)


def mos(rating: float) -> float:
    """G.107 Annex B: the opinion (1 to 4.5) that goes with a narrowband R."""
    if rating <= 0.0:
        return 1.0
    if rating >= 100.0:
        return 4.5
    return max(1.0, 1.0 + 0.035 * rating + rating * (rating - 60.0) * (100.0 - rating) * 7e-6)


class Line(NamedTuple):
    """What G.107 wants to know of a narrowband connection, with its default values (Table 1)."""

    slr: float = 8.0
    rlr: float = 2.0
    stmr: float = 15.0
    ds: float = 3.0
    dr: float = 3.0
    telr: float = 65.0
    wepl: float = 110.0
    t: float = 0.0
    tr: float = 0.0
    ta: float = 0.0
    qdu: float = 1.0
    ie: float = 0.0
    bpl: float = 4.3
    ppl: float = 0.0
    burst_ratio: float = 1.0
    nc: float = -70.0
    nfor: float = -64.0
    ps: float = 35.0
    pr: float = 35.0
    a: float = 0.0


def rating(line: Line) -> float:
    """R of G.107, whole (section 7). Sidetones beyond 9 to 20 dB are not provided for."""
    olr = line.slr + line.rlr
    nos = line.ps - line.slr - line.ds - 100.0 + 0.004 * (line.ps - olr - line.ds - 14.0) ** 2
    lstr = line.stmr + line.dr
    pre = line.pr + 10.0 * math.log10(1.0 + 10.0 ** ((10.0 - lstr) / 10.0))
    nor = line.rlr - 121.0 + pre + 0.008 * (pre - 35.0) ** 2
    nfo = line.nfor + line.rlr
    no = 10.0 * math.log10(sum(10.0 ** (noise / 10.0) for noise in (line.nc, nos, nor, nfo)))
    ro = 15.0 - 1.5 * (line.slr + no)
    ie_eff = effective_ie(line.ie, line.bpl, line.ppl, line.burst_ratio)
    return ro - _simultaneous(line, ro, no, olr) - _delay(line, ro, no) - ie_eff + line.a


def _simultaneous(line: Line, ro: float, no: float, olr: float) -> float:
    """Is: loudness, sidetone, quantizing."""
    xolr = olr + 0.2 * (64.0 + no - line.rlr)
    iolr = 20.0 * ((1.0 + (xolr / 8.0) ** 8) ** (1 / 8) - xolr / 8.0)
    stmro = -10.0 * math.log10(10.0 ** (-line.stmr / 10.0) + math.exp(-line.t / 4.0) * 10.0 ** (-line.telr / 10.0))
    ist = (
        12.0 * (1.0 + ((stmro - 13.0) / 6.0) ** 8) ** (1 / 8)
        - 28.0 * (1.0 + ((stmro + 1.0) / 19.4) ** 35) ** (1 / 35)
        - 13.0 * (1.0 + ((stmro - 3.0) / 33.0) ** 13) ** (1 / 13)
        + 29.0
    )
    q = 37.0 - 15.0 * math.log10(line.qdu)
    g = 1.07 + 0.258 * q + 0.0602 * q**2
    y = (ro - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0
    z = 46.0 / 30.0 - g / 40.0
    return iolr + ist + 15.0 * math.log10(1.0 + 10.0**y + 10.0**z)


def _delay(line: Line, ro: float, no: float) -> float:
    """Id: echo of the talker, echo of the listener, absolute delay."""
    terv = (
        line.telr - 40.0 * math.log10((1.0 + line.t / 10.0) / (1.0 + line.t / 150.0)) + 6.0 * math.exp(-0.3 * line.t**2)
    )
    roe, re = -1.5 * (no - line.rlr), 80.0 + 2.5 * (terv - 14.0)
    idte = ((roe - re) / 2.0 + math.sqrt((roe - re) ** 2 / 4.0 + 100.0) - 1.0) * (1.0 - math.exp(-line.t))
    rle = 10.5 * (line.wepl + 7.0) * (line.tr + 1.0) ** -0.25
    idle = (ro - rle) / 2.0 + math.sqrt((ro - rle) ** 2 / 4.0 + 169.0)
    return idte + idle + delay_impairment(line.ta)
