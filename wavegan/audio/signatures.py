"""Distinguishes decodable sound, other sound and other files, by a file's extension and first bytes."""

import soundfile


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


HEADERLESS = _names("raw pcm vox gsm sw uw sb ub ul al")  # nothing in the file says how it was recorded
OTHER_DECODERS = _names(
    "m4a m4b m4r mp4 m4v mov 3gp aac wma wmv asf webm mka mkv avi amr awb ape wv tta tak mpc mpp spx ac3 eac3 dts "
    "dsf dff ra rm sd2"
)
ARCHIVES = _names("zip tar gz tgz bz2 xz zst 7z rar")
SAMPLERS = _names("rx2 rex rcy ncw nki nkx nks sf2 dls gig exs akp")  # sounds that a sampler keeps in its own form
UNFINISHED = _names("part partial crdownload download tmp temp bak")
NO_SOUND = _names(
    "txt csv tsv json jsonl yaml yml xml html htm md rst log lab textgrid srt vtt cue m3u m3u8 pls nfo lrc "
    "jpg jpeg png gif bmp svg webp tif tiff ico pdf doc docx xls xlsx odt ods parquet arrow npy npz pt pth ckpt pkl "
    "safetensors onnx h5 mat db sqlite py ipynb sh js css toml ini cfg mid midi asd reapeaks als rpp "
    "logicx sfz exe dll so"
)
EXTENSIONS = _names(" ".join(soundfile.available_formats()).lower()) - _names("raw sd2 mat4 mat5") | _names(
    "aif aifc aiff bwf wave wavex amb bw64 oga opus mp1 mp2 mpga snd sf ircam sph nist iff 8svx 16sv svx"
)
IRCAM = (  # the first bytes name the machine that wrote it: VAX, Sun, MIPS, NeXT, in either byte order
    b"\x00\x01\xa3\x64",
    b"\x00\x02\xa3\x64",
    b"\x64\xa3\x01\x00",
    b"\x64\xa3\x02\x00",
    b"\x64\xa3\x03\x00",
    b"\x64\xa3\x04\x00",
)
SOUND = (  # first bytes of files that libsndfile may decode, and the bytes at position 8 if several kinds share them
    (b"RIFF", b"WAVE"),
    (b"RIFX", b"WAVE"),
    (b"RF64", b"WAVE"),
    (b"BW64", b"WAVE"),
    (b"FORM", b"AIFF"),
    (b"FORM", b"AIFC"),
    (b"FORM", b"8SVX"),
    (b"FORM", b"16SV"),
    (b"riff\x2e\x91\xcf\x11", b""),  # Wave64
    (b"fLaC", b""),
    (b"OggS", b""),
    (b"ID3", b""),
    (b"caff", b""),
    (b".snd", b""),
    (b"dns.", b""),
    (b"NIST_1A", b""),
    (b"Creative Voice File", b""),
    *((mark, b"") for mark in IRCAM),
    (b" paf", b""),
    (b"fap ", b""),
    (b"PVF1", b""),
    (b"2BIT", b""),
    (b"Extended Instrument:", b""),
)
OTHER_KINDS = (  # position, bytes, and the kind that needs another decoder
    (4, b"ftyp", "MPEG-4 (m4a, mp4)"),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media (wma)"),
    (0, b"\x1a\x45\xdf\xa3", "Matroska (webm, mka)"),
    (0, b"#!AMR", "AMR"),
    (0, b"MAC ", "Monkey's Audio (ape)"),
    (0, b"wvpk", "WavPack (wv)"),
    (0, b"TTA1", "True Audio (tta)"),
    (0, b"MPCK", "Musepack (mpc)"),
    (0, b"MP+", "Musepack (mpc)"),
    (0, b"DSD ", "DSD (dsf)"),
    (0, b"FRM8", "DSD (dff)"),
    (0, b".RMF", "RealAudio"),
    (0, b"\x0b\x77", "AC-3"),
    (0, b"\xff\xf1", "AAC"),
    (0, b"\xff\xf9", "AAC"),
    (0, b"ADIF", "AAC"),
    (28, b"\x7fFLAC", "FLAC in Ogg"),
    (28, b"Speex", "Speex"),
    (28, b"\x80theora", "video in Ogg"),
)
STAND_INS = (  # the first bytes of files that lie where sound should lie
    (b"version https://git-lfs.github.com/spec/", "is a git-lfs pointer, not sound; run: git lfs pull"),
    (b"/annex/objects/", "is a git-annex pointer, not sound; run: git annex get"),
    (b"<!DOCTYPE", "is a web page, not sound; download it again"),
    (b"<!doctype", "is a web page, not sound; download it again"),
    (b"<html", "is a web page, not sound; download it again"),
    (b"\x00\x05\x16\x07", "holds what macOS keeps beside a file, not sound; remove it"),
)
FIRST_BYTES = 64


def is_sound(start: bytes) -> bool:
    """Says whether a file's first bytes are those of a kind that may be decoded."""
    if other_kind(start):
        return False
    return any(start.startswith(first) and start[8:].startswith(second) for first, second in SOUND) or _is_mpeg(start)


def other_kind(start: bytes) -> str | None:
    """Names the kind of sound that needs another decoder, by a file's first bytes."""
    return next((kind for at, mark, kind in OTHER_KINDS if start.startswith(mark, at)), None)


def stand_in(start: bytes) -> str | None:
    """Says what lies in the place of sound, and the remedy, by a file's first bytes."""
    return next((words for mark, words in STAND_INS if start.startswith(mark)), None)


def _is_mpeg(start: bytes) -> bool:
    """Says whether an MPEG frame of layer II or III begins; layer I would take texts in UTF-16 for sound."""
    if len(start) < 4 or start[0] != 0xFF or start[1] & 0xE0 != 0xE0:
        return False
    version, layer, bit_rate, rate = start[1] >> 3 & 3, start[1] >> 1 & 3, start[2] >> 4, start[2] >> 2 & 3
    return version != 1 and layer in (1, 2) and 0 < bit_rate < 15 and rate != 3
