"""What untrusted media may make ffmpeg and PyAV do: demuxers, decoders and input limits, the same for probe and encode.

reliability.md 5b: rare demuxers and decoders are where the holes are, and playlists are demuxers too. The lists name what
cameras, phones, browsers, screen recorders and the common encoders write; anything else is refused by name.
"""

from __future__ import annotations

MOST_STREAMS = 64
MOST_PIXELS = 50_000_000
PROBE_BYTES = 10_000_000
ANALYZE_MICROSECONDS = 10_000_000

DEMUXERS = frozenset(
    {
        "mov",
        "matroska",
        "mpegts",
        "mpeg",
        "avi",
        "flv",
        "asf",
        "ogg",
        "wav",
        "mp3",
        "aac",
        "flac",
    }
)

PICTURE_DECODERS = (
    "h264 hevc av1 libdav1d vp8 vp9 libvpx libvpx-vp9 vp6 vp6f vp6a mpeg1video mpeg2video mpegvideo mpeg4 "
    "msmpeg4v2 msmpeg4 h263 h263p h263i flv mjpeg prores dnxhd dvvideo theora wmv1 wmv2 wmv3 vc1 rawvideo ffv1 "
    "huffyuv qtrle png"
)
SOUND_DECODERS = (
    "aac aac_fixed aac_latm mp1 mp1float mp2 mp2float mp3 mp3float ac3 ac3_fixed eac3 dca opus libopus vorbis "
    "libvorbis flac alac wmav1 wmav2 wmapro amrnb amrwb speex nellymoser adpcm_ima_qt adpcm_ima_wav adpcm_ms "
    "adpcm_swf gsm gsm_ms pcm_s16le pcm_s16be pcm_s24le pcm_s24be pcm_s32le pcm_s32be pcm_u8 pcm_s8 pcm_f32le "
    "pcm_f32be pcm_f64le pcm_f64be pcm_mulaw pcm_alaw pcm_bluray pcm_dvd"
)
DECODERS = frozenset(f"{PICTURE_DECODERS} {SOUND_DECODERS}".split())
"""Names of decoders, not of codecs: a rare decoder of an allowed codec stays out of reach too."""
