"""CMU-MOSI: film reviews on YouTube, rated for sentiment sentence by sentence, English.

Source: https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK, which lists the addresses of the
``.csd`` files (A. Zadeh et al., "MOSI: Multimodal Corpus of Sentiment Intensity", 2016).
Licence: published for research; the videos belong to those who made them.
Files: ``CMU_MOSI_Opinion_Labels.csd``, ``CMU_MOSI_TimestampedWords.csd`` (or ``ModifiedTime...``),
``CMU_MOSI_COVAREP.csd`` in one folder or in folders of it; recordings, for those who have them, in
``Raw/Audio/WAV_16000/Full`` or ``Raw/Video/Full``.
Size: 2,199 segments of 93 videos, all in the standard folds (1,284 / 229 / 686).
Labels: one column, sentiment from -3 to 3, the mean of five raters.

Known defects: -inf in COVAREP; ``sp`` for silence among the words. One person speaks in each video,
and 89 in all: a video stands for its speaker, so up to four people may be in several folds.
"""

from __future__ import annotations

from data_modules.corpora.cmu_layout import Layout
from data_modules.corpora.release import Corpus, Published
from data_modules.corpora.sentiment import sentiment_schemes

LAYOUT = Layout(
    corpus="mosi",
    title="CMU-MOSI",
    columns=("sentiment",),
    labels_file="CMU_MOSI_Opinion_Labels.csd",
    labels=r"(cmumosi)?opinion(segment)?labels",
    words=r"(cmumosi)?(modified)?(timestamped)?words",
    covarep=r"(cmumosi)?covarep",
)

CORPUS = Corpus(
    name="mosi",
    title=LAYOUT.title,
    read=LAYOUT.read,
    version=1,
    schemes=sentiment_schemes("mosi"),
    language="en",
    licence="published for research; the videos belong to their makers",
    source="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
    published=Published(
        what="segments in the standard folds",
        total=2_199,
        # of a rating, how many are not zero
        classes={"sentiment": 2_103},
        parts={"train": 1_284, "val": 229, "test": 686},
    ),
    features={"covarep": LAYOUT.covarep_features("MOSI")},
)
