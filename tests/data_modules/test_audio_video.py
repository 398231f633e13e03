"""The sound of video containers: what comes out, and that nothing comes out of damaged files."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from data_modules.audio import (
    EmptyMediaError,
    MissingMediaError,
    MissingReaderError,
    TruncatedMediaError,
    UnreadableMediaError,
    load_audio,
    read_channels,
    read_info,
)
from data_modules.container_sizes import expect_stated_size
from data_modules.errors import MediaError
from data_modules.media import scan_media
from data_modules.prepare import prepare
from tests.data_modules import video_files

EXACT = ["clip.avi", "clip.mov"]


@pytest.fixture(scope="module")
def clips(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[Path, Any]]:
    """Each kind of container with the samples that went in."""
    folder = tmp_path_factory.mktemp("clips")
    return {
        name: (folder / name, video_files.write(folder / name, **options))
        for name, options in video_files.CASES.items()
    }


@pytest.mark.parametrize("name", video_files.CASES)
def test_what_went_in_comes_out(name: str, clips: dict[str, tuple[Path, Any]]) -> None:
    path, expected = clips[name]
    samples, rate = read_channels(path)
    assert rate == 48_000
    assert samples.dtype == np.float32
    assert samples.shape[1] == expected.shape[1]
    # lossy encoders fill their last frame; without an edit list their first is heard as well
    assert len(expected) <= len(samples) <= len(expected) + 3 * 1152
    if name in EXACT:
        assert np.abs(samples[: len(expected)] - expected).max() <= 1 / 32768
    # the level of each channel survives any codec (the low-frequency channel keeps its tone too)
    level = np.sqrt(np.mean(samples**2, axis=0)) / np.sqrt(np.mean(expected**2, axis=0))
    kept = [k for k in range(expected.shape[1]) if not (expected.shape[1] == 6 and k == 3)]
    assert np.allclose(level[kept], 1, atol=0.1)
    info = read_info(path)
    assert (info.sample_rate, info.channels, info.num_samples) == (rate, *samples.shape[::-1])


@pytest.mark.parametrize("name", ["clip.mp4", "clip.mkv", "clip.webm", *EXACT])
def test_a_part_is_that_part_of_the_whole(name: str, clips: dict[str, tuple[Path, Any]]) -> None:
    path, _ = clips[name]
    whole, rate = read_channels(path)
    part, _ = read_channels(path, 0.25, 0.7)
    assert np.array_equal(part, whole[round(0.25 * rate) : round(0.7 * rate)])
    rest, _ = read_channels(path, 0.7)
    assert np.array_equal(rest, whole[round(0.7 * rate) :])


def test_channels_are_mixed_down_and_resampled(clips: dict[str, tuple[Path, Any]]) -> None:
    path, expected = clips["clip.mov"]
    mono = load_audio(path)
    assert mono.shape == (16_000,)
    # 440 Hz is far below half of 16 kHz, so every third sample of the mean is the resampled one
    assert np.abs(mono - expected.mean(axis=1)[::3])[100:-100].max() < 2e-3
    facts = scan_media("x", path.parent, path.name)
    assert (facts.channels, facts.sample_rate, facts.num_samples) == (2, 48_000, 16_000)


@pytest.mark.parametrize("name", video_files.CASES)
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9, 0.99, 0.999])
def test_a_cut_file_is_no_audio(
    name: str, share: float, clips: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    data = clips[name][0].read_bytes()
    cut = tmp_path / f"cut{clips[name][0].suffix}"
    cut.write_bytes(data[: int(len(data) * share)])
    with pytest.raises(MediaError):
        read_channels(cut)


# always the same files: one in some thousands has a header that is damaged into a shorter one
@settings(max_examples=60, derandomize=True)
@given(
    name=st.sampled_from(sorted(video_files.CASES)),
    place=st.floats(0, 1),
    noise=st.binary(min_size=1, max_size=64),
)
def test_a_damaged_file_is_whole_or_an_error(
    name: str, place: float, noise: bytes, clips: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    path, expected = clips[name]
    data = bytearray(path.read_bytes())
    at = int(place * len(data))
    data[at : at + len(noise)] = noise[: len(data) - at]
    damaged = tmp_path / f"damaged{path.suffix}"
    damaged.write_bytes(data)
    try:
        samples, rate = read_channels(damaged)
    except MediaError:
        return
    # what decodes may sound wrong, but no stretch of a tenth of a second is gone
    assert len(samples) / rate >= len(expected) / 48_000 - 0.1 or rate != 48_000


def test_an_index_that_leads_past_sound_is_told(
    clips: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    data = bytearray(clips["clip.avi"][0].read_bytes())
    # flags, place and length of packets stand in the index at the end of an AVI
    at = int(0.999 * len(data))
    data[at : at + 14] = bytes(13) + b"\x80"
    (tmp_path / "bad.avi").write_bytes(data)
    with pytest.raises(
        TruncatedMediaError, match=r"1\.000 s of sound, as its header says, got 0\."
    ):
        read_channels(tmp_path / "bad.avi")


def test_a_dropped_packet_is_a_hole(tmp_path: Path) -> None:
    video_files.write(tmp_path / "whole.mkv", codec="libopus")
    with (
        av.open(str(tmp_path / "whole.mkv")) as source,
        av.open(str(tmp_path / "hole.mkv"), "w") as out,
    ):
        copy = out.add_stream_from_template(source.streams.audio[0])
        for number, packet in enumerate(source.demux(source.streams.audio[0])):
            if packet.dts is not None and number not in range(20, 25):
                packet.stream = copy
                out.mux(packet)
    with pytest.raises(TruncatedMediaError, match=r"without holes, got a hole after 0\.\d+ s"):
        read_channels(tmp_path / "hole.mkv")


def test_a_shorter_track_than_the_picture_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "long.mkv"
    with av.open(str(path), "w") as out:
        sound = out.add_stream("pcm_s16le", rate=16_000, layout="mono")
        pictures = out.add_stream("mpeg4", rate=25, width=64, height=64, pix_fmt="yuv420p")
        for _ in range(50):
            grey = np.zeros((64, 64, 3), np.uint8)
            out.mux(pictures.encode(av.VideoFrame.from_ndarray(grey)))
        out.mux(pictures.encode())
        frame = av.AudioFrame.from_ndarray(np.ones((1, 16_000), np.int16), "s16", "mono")
        frame.sample_rate, frame.pts = 16_000, 0
        out.mux(sound.encode(frame))
        out.mux(sound.encode())
    assert len(read_channels(path)[0]) == 16_000


def test_parts_that_are_not_there(clips: dict[str, tuple[Path, Any]]) -> None:
    path, _ = clips["clip.mov"]
    with pytest.raises(TruncatedMediaError, match=r"audio up to 2\.000 s, got 1\.000 s"):
        read_channels(path, 0.5, 2.0)
    with pytest.raises(TruncatedMediaError, match=r"audio up to 8\.000 s, got 1\.000 s"):
        read_channels(path, 5.0, 8.0)
    with pytest.raises(EmptyMediaError, match="a start before its end"):
        read_channels(path, 5.0)
    with pytest.raises(EmptyMediaError, match="a start before its end"):
        read_channels(path, 0.5, 0.5)


def test_what_is_no_sound(tmp_path: Path) -> None:
    with pytest.raises(MissingMediaError, match="no file"):
        read_channels(tmp_path / "none.mp4")
    (tmp_path / "empty.mp4").touch()
    with pytest.raises(EmptyMediaError, match="zero bytes"):
        read_channels(tmp_path / "empty.mp4")
    (tmp_path / "text.mp4").write_text("this is no video" * 100)
    with pytest.raises(UnreadableMediaError, match="invalid data"):
        read_channels(tmp_path / "text.mp4")
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n"
    (tmp_path / "pointer.mp4").write_bytes(pointer)
    with pytest.raises(UnreadableMediaError, match="git lfs pull"):
        read_channels(tmp_path / "pointer.mp4")


def test_one_track_and_no_other(tmp_path: Path) -> None:
    video_files.write(tmp_path / "two.mkv", tracks=2)
    with pytest.raises(UnreadableMediaError, match="one sound track, got 2"):
        read_channels(tmp_path / "two.mkv")
    video_files.write(tmp_path / "mute.mkv", tracks=0, video=True)
    with pytest.raises(UnreadableMediaError, match="one sound track, got none"):
        read_channels(tmp_path / "mute.mkv")


def test_a_playlist_leads_nowhere(tmp_path: Path) -> None:
    video_files.write(tmp_path / "clip.mov", codec="pcm_s16le")
    (tmp_path / "list.mp4").write_text("#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:1/clip.mov\n")
    with pytest.raises(UnreadableMediaError):
        read_channels(tmp_path / "list.mp4")


def test_a_colon_in_the_name_is_no_protocol(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.chdir(tmp_path)
    video_files.write(Path("clip.mov"), codec="pcm_s16le")
    Path("clip.mov").rename("http:a.mov")
    assert len(read_channels(Path("http:a.mov"))[0]) == 48_000


def test_titles_that_are_no_text_do_not_matter(
    clips: dict[str, tuple[Path, Any]], tmp_path: Path
) -> None:
    data = bytearray(clips["clip.mp4"][0].read_bytes())
    data[8] = 0x80  # the first letter of the brand
    (tmp_path / "brand.mp4").write_bytes(data)
    whole, _ = read_channels(clips["clip.mp4"][0])
    assert np.array_equal(read_channels(tmp_path / "brand.mp4")[0], whole)


def test_channels_that_change_are_told(tmp_path: Path) -> None:
    for layout in ("stereo", "mono"):
        video_files.write(tmp_path / f"{layout}.aac", layout=layout)
    both = [(tmp_path / f"{layout}.aac").read_bytes() for layout in ("stereo", "mono")]
    (tmp_path / "both.m4a").write_bytes(b"".join(both))
    with pytest.raises(UnreadableMediaError, match=r"2 channels .*throughout, got 1 at 48000 Hz"):
        read_channels(tmp_path / "both.m4a")


def test_without_the_extra(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    video_files.write(tmp_path / "clip.mov", codec="pcm_s16le")
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingReaderError, match=r"pip install sermm\[video\]"):
        read_channels(tmp_path / "clip.mov")


def test_a_missing_extra_leaves_out_no_corpus(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    from data_modules.corpora import CORPORA

    video_files.write(tmp_path / "clip.mov", codec="pcm_s16le")
    (tmp_path / "clips.csv").write_text("id,audio,emotion\na,clip.mov,sad\n")
    (tmp_path / "table.yaml").write_text(
        "file: clips.csv\ncolumns: {id: id, audio: audio}\n"
        "classes: {column: emotion, names: [sad]}\n"
    )
    monkeypatch.setitem(sys.modules, "av", None)
    with pytest.raises(MissingReaderError, match=r"sermm\[video\]"):
        prepare(CORPORA["table"], tmp_path, tmp_path / "cache")


def test_sizes_that_are_not_stated_pass(tmp_path: Path) -> None:
    path = tmp_path / "clip.mp4"
    box = (8).to_bytes(4, "big") + b"ftyp"
    # a last box of length 0 goes on to the end of the file, one of length 1 has 64 bits
    for last in (
        bytes(4) + b"mdat" + b"x" * 5,
        b"\0\0\0\1mdat" + (20).to_bytes(8, "big") + b"xxxx",
    ):
        path.write_bytes(box + last)
        expect_stated_size(path)
    path.write_bytes(box + b"\0\0\0\1mdat" + (21).to_bytes(8, "big") + b"xxxx")
    with pytest.raises(TruncatedMediaError, match="at least 29 bytes, as its header says, got 28"):
        expect_stated_size(path)
    for streamed in (b"\xff" * 4, bytes(4)):
        path.write_bytes(b"RIFF" + streamed + b"AVI LIST")
        expect_stated_size(path)
    unknown = b"\x1a\x45\xdf\xa3\x80" + b"\x18\x53\x80\x67" + b"\x01" + b"\xff" * 7 + b"data"
    path.write_bytes(unknown)
    expect_stated_size(path)


@given(
    st.sampled_from([b"", b"\0\0\0\x08ftyp", b"RIFF\0\0\0\0AVI ", b"\x1a\x45\xdf\xa3"]), st.binary()
)
def test_any_bytes_have_a_size_or_not(head: bytes, rest: bytes) -> None:
    from io import BytesIO

    from data_modules.container_sizes import _end_of_boxes, _end_of_riff, _end_of_segment

    stream = BytesIO(head + rest)
    size = len(head + rest)
    assert (
        min(_end_of_boxes(stream, size), _end_of_riff(stream, size), _end_of_segment(stream)) >= 0
    )
