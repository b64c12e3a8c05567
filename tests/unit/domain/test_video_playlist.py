"""Playlists as players and the verify step read them."""

from __future__ import annotations

from dataclasses import replace
from fractions import Fraction

import pytest

from src.domain.errors import OutputInvalid
from src.domain.video.playlist import (
    MediaPlaylist,
    Segment,
    Sound,
    Variant,
    avc1_codec,
    master_uris,
    parse_media,
    rates,
    write_master,
    write_media,
)

PLAYLIST = MediaPlaylist(
    segments=(Segment("seg_00000.m4s", 4.0), Segment("seg_00001.m4s", 4.0), Segment("seg_00002.m4s", 5.6)),
    init="init.mp4",
)


def test_what_is_written_is_what_is_read() -> None:
    read = parse_media(write_media(PLAYLIST))
    assert replace(read, declared_target=None) == PLAYLIST
    assert read.declared_target == 6


def test_a_growing_playlist_has_no_end() -> None:
    text = write_media(replace(PLAYLIST, ended=False))
    assert "#EXT-X-PLAYLIST-TYPE:EVENT" in text
    assert "ENDLIST" not in text
    assert not parse_media(text).ended


@pytest.mark.parametrize(
    "text",
    [
        "",
        "<html>",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-ENDLIST\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\nseg.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\n../other-tenant/seg.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:4.0,\nhttp://host/seg.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXTINF:nan,\nseg.ts\n",
        "#EXTM3U\n#EXTINF:4.0,\nseg.ts\n",
        "#EXTM3U\n#EXT-X-TARGETDURATION:4\n#EXT-X-ENDLIST\n#EXTINF:4.0,\nseg.ts\n",
    ],
)
def test_anything_but_our_own_shape_is_refused(text: str) -> None:
    with pytest.raises(OutputInvalid):
        parse_media(text)


def test_the_master_names_codecs_sizes_rates_and_the_sound_group() -> None:
    variant = Variant(
        uri="720p/index.m3u8", peak=2_000_000, average=1_500_000, codec="avc1.64001f", width=1280, height=720,
        fps=Fraction(24000, 1001),
    )  # fmt: skip
    sound = Sound(uri="audio_0/index.m3u8", name="Korean", peak=130_000, average=128_000, language="kor", default=True)
    text = write_master([variant], [sound])
    assert (
        '#EXT-X-STREAM-INF:BANDWIDTH=2130000,AVERAGE-BANDWIDTH=1628000,CODECS="avc1.64001f,mp4a.40.2",'
        'RESOLUTION=1280x720,FRAME-RATE=23.976,AUDIO="sound"\n720p/index.m3u8\n'
    ) in text
    assert 'NAME="Korean",LANGUAGE="kor",DEFAULT=YES' in text
    assert master_uris(text) == (("720p/index.m3u8",), ("audio_0/index.m3u8",))


def test_sound_alone_is_a_variant_of_its_own() -> None:
    text = write_master([], [Sound(uri="audio_0/index.m3u8", name="sound", peak=130_000, average=128_000)])
    assert 'BANDWIDTH=130000,AVERAGE-BANDWIDTH=128000,CODECS="mp4a.40.2"\naudio_0/index.m3u8' in text
    assert "EXT-X-MEDIA:" not in text


def test_a_silent_film_names_no_sound_codec() -> None:
    text = write_master([Variant(uri="a/index.m3u8", peak=1, average=1, codec="avc1.64001f")], [])
    assert 'CODECS="avc1.64001f"' in text
    assert "AUDIO=" not in text


def test_t04_a_title_cannot_add_lines_or_attributes_to_the_master() -> None:
    hostile = 'x",URI="http://evil/"\n#EXT-X-KEY:METHOD=NONE'
    sound = Sound(uri="audio_0/index.m3u8", name=hostile, peak=1, average=1, language='en",X="')
    text = write_master([Variant(uri="a/index.m3u8", peak=1, average=1)], [sound])
    assert len(text.splitlines()) == 6
    assert "LANGUAGE" not in text
    assert text.count('"') % 2 == 0
    assert master_uris(text)[1] == ("audio_0/index.m3u8",)


def test_a_default_is_named_once_even_if_no_track_claims_it() -> None:
    sounds = [Sound(uri=f"audio_{n}/index.m3u8", name=f"t{n}", peak=1, average=1) for n in range(3)]
    assert write_master([], sounds).count("DEFAULT=YES") == 1


def test_the_peak_is_that_of_the_worst_stretch_of_about_a_target_duration() -> None:
    sizes, seconds = [1_000_000, 1_000_000, 3_000_000, 100_000], [4.0, 4.0, 4.0, 0.4]
    peak, average = rates(sizes, seconds, 4)
    assert peak == round(max(3_000_000 * 8 / 4.0, 3_100_000 * 8 / 4.4))
    assert average == round(5_100_000 * 8 / 12.4)


def test_the_codec_is_read_from_the_header_that_was_written() -> None:
    assert avc1_codec(b"....avcC\x01\x64\x00\x1f\xff") == "avc1.64001f"
    assert avc1_codec(b"\x47\x40\x00\x00\x00\x00\x01\x67\x4d\x40\x28") == "avc1.4d4028"
    with pytest.raises(OutputInvalid):
        avc1_codec(b"nothing")
