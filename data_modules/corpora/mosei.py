"""CMU-MOSEI: sentences of YouTube monologues, rated for sentiment and six emotions, English.

Source: https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK, which lists the addresses of the
``.csd`` files (A. Zadeh et al., "Multimodal Language Analysis in the Wild", ACL 2018).
Licence: published for research; the videos belong to those who made them.
Files: ``CMU_MOSEI_Labels.csd``, ``CMU_MOSEI_TimestampedWords.csd``, ``CMU_MOSEI_COVAREP.csd`` in
one folder or in folders of it; recordings, for those who have them, in ``Raw/Audio/Full/WAV_16000``
or ``Raw/Videos/Full/Combined``.
Size: 22,860 segments of 3,225 videos in the standard folds (16,327 / 1,871 / 4,662), 399 outside.
Labels: seven columns, sentiment from -3 to 3 and happy, sad, anger, surprise, disgust, fear from 0
to 3, each a mean of about three raters. An emotion is present above 0.

Known defects: 223 starts before the start of the video; more than half of the segments overlap an
earlier one; rows out of order of time; 2 videos of the test fold without labels; segments without
words; -inf in COVAREP; ``sp`` for silence among the words; in some videos times count from a point
that is not the start of the raw recording. The files do not say who speaks: a video stands for its
speaker, so one person may be in several folds.
"""

from __future__ import annotations

from data_modules.corpora.cmu_layout import Layout
from data_modules.corpora.release import Corpus, Published
from data_modules.corpora.sentiment import sentiment_schemes
from data_modules.labels import BinScheme, PresenceScheme, RatingScheme

EMOTIONS = ("happy", "sad", "anger", "surprise", "disgust", "fear")

LAYOUT = Layout(
    corpus="mosei",
    title="CMU-MOSEI",
    columns=("sentiment", *EMOTIONS),
    labels_file="CMU_MOSEI_Labels.csd",
    labels=r"(cmumosei)?(all)?labels",
    words=r"(cmumosei)?(modified)?(timestamped)?words",
    covarep=r"(cmumosei)?covarep",
)


def sdk_bin(rating: float) -> str:
    """Seven classes by the bins that the corpus' own toolkit uses for MOSEI.

    They widen away from zero: only 0 itself is neutral, and 0.3 is class 1.
    """
    if rating == 0:
        return "0"
    level = 1 if abs(rating) <= 1 else 2 if abs(rating) <= 2 else 3
    return str(level if rating > 0 else -level)


CORPUS = Corpus(
    name="mosei",
    title=LAYOUT.title,
    read=LAYOUT.read,
    version=1,
    schemes=(
        *sentiment_schemes("mosei"),
        BinScheme(
            name="mosei7_sdk",
            names=("-3", "-2", "-1", "0", "1", "2", "3"),
            source="sentiment",
            low=-3.0,
            high=3.0,
            bin_of=sdk_bin,
            note="seven classes by the bins of the corpus' toolkit, in which only 0 is neutral",
        ),
        RatingScheme(
            name="mosei_emotions6",
            names=EMOTIONS,
            sources=EMOTIONS,
            low=0.0,
            high=3.0,
            scores="intensity",
        ),
        PresenceScheme(
            name="mosei_presence6",
            names=EMOTIONS,
            sources=EMOTIONS,
            high=3.0,
            note="an emotion is present if its mean rating is above 0",
        ),
    ),
    language="en",
    licence="published for research; the videos belong to their makers",
    source="https://github.com/CMU-MultiComp-Lab/CMU-MultimodalSDK",
    published=Published(
        what="segments in the standard folds",
        total=22_860,
        # of a rating, how many are not zero
        classes={"sentiment": 17_864},
        parts={"train": 16_327, "val": 1_871, "test": 4_662},
    ),
    features={"covarep": LAYOUT.covarep_features("MOSEI")},
)
