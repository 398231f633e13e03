"""Word times by a CTC model: letters of words, what the model hears, and the best path between."""

from __future__ import annotations

from collections.abc import Sequence

from data_modules.aligners import Waveform
from data_modules.ctc import align_words
from data_modules.ctc_files import CtcFiles
from data_modules.ctc_model import CtcModel, find_device
from data_modules.ctc_text import Speller
from data_modules.manifest import Word

# benchmarks/ctc_stretch.py: of 0 to 200 ms this put the most boundaries within 50 ms of the true
# ones (79 %), with neither starts nor ends too early or too late on the whole.
MAX_STRETCH_S = 0.04
"""How far the end of a word is moved into what no letter covers."""

_SAMPLE_RATE = 16_000


class CtcAligner:
    """Forced alignment with any CTC model of letters, in the model's language.

    Args:
        model: What hears.
        language: ISO 639-1 code of the transcripts, for their numbers.
    """

    source = "ctc"

    def __init__(self, model: CtcModel, language: str) -> None:
        self.guessed: list[str] = []
        self._model = model
        self._speller = Speller(model.vocabulary, model.delimiter, language)

    def align(self, waveform: Waveform, words: Sequence[str]) -> list[Word] | None:
        """Times in steps of half a frame of the model, as a rule 10 ms.

        A word with a letter that the model does not know, or a symbol or number that cannot be put
        into letters, has no time. None if that is true of all, or if the clip has fewer frames
        than the words have letters.
        """
        spelled = [self._speller.spell(word) for word in words]
        if not any(spelled):
            return None
        emissions = self._model.emissions(waveform)
        spans = align_words(
            emissions.log_probs,
            spelled,
            blank=self._model.blank,
            delimiter=self._model.delimiter,
            max_stretch=MAX_STRETCH_S * _SAMPLE_RATE / self._model.stride,
        )
        if spans is None:
            return None
        duration_s = len(waveform) / _SAMPLE_RATE
        found = []
        for word, span in zip(words, spans, strict=True):
            if span.aligned:
                end_s = min(self._seconds(span.end), duration_s)
                found.append(Word(word, min(self._seconds(span.start), end_s), end_s, self.source))
        return found

    def _seconds(self, frame: float) -> float:
        return round((frame * self._model.stride + self._model.offset) / _SAMPLE_RATE, 4)


def load_ctc_aligner(
    files: CtcFiles,
    *,
    where: str,
    language: str,
    device: str = "auto",
    num_threads: int | None = None,
) -> CtcAligner:
    """An aligner with its model loaded; a worker process can be told to call this.

    Args:
        files: Of the model.
        where: What an error about the model names.
        language: ISO 639-1 code of the transcripts.
        device: As :func:`find_device` takes it.
        num_threads: CPU threads for this process; None leaves them as they are.

    Raises:
        ModelError: The model cannot be read or does not spell.
        ConfigError: There is no such device.
    """
    if num_threads is not None:
        import torch

        torch.set_num_threads(num_threads)
    return CtcAligner(CtcModel(files, find_device(device), where=where), language)
