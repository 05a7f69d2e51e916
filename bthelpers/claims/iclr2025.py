"""Published: the claims of the ICLR paper's abstract, section 4 and appendices, as a table.

In our words, each with the quantity that tests it and where its value is claimed to be.
"""

from __future__ import annotations

from bthelpers.claims.quantities import (
    BY_SIZE,
    BY_STORIES,
    LARGE,
    LATE_PREFERENCE,
    LATE_PREFERENCE_GAIN,
    LOW_LEVEL,
    NAIVE,
    PROBES,
    RECOGNITION,
    SIZE_SLOPE,
    STORY_SLOPE,
    TUNED_SMALL,
    alignment_with,
    impact_on,
    in_two_sizes,
)
from bthelpers.claims.verdicts import FAMILIES, Claim

SELF_SUPERVISED = ("Wav2vec2", "HuBERT")
NOT_MUCH_LOWER = -0.05  # D.1: "not substantially"; the paper gives no number

GAIN = ("brain-tuned", "pretrained")
PERMUTED_GAIN = ("block-permuted", "pretrained")
BIG_GAIN = ("big-slm", "pretrained")
LATE = alignment_with("late_language", "late language regions")
PRIMARY = alignment_with("primary_auditory", "primary auditory regions")
IMPACT = impact_on("late_language", "late language regions")
JOINT_IMPACT = impact_on("late_language", "late language regions", ("joint",))
PRIMARY_IMPACT = impact_on("primary_auditory", "primary auditory regions")
BUT_EMOTION = ("action", "sentence type", "phones", "word")
# Whisper's recognition is not in the paper (B).
TASKS = ((PROBES, FAMILIES, BUT_EMOTION), (RECOGNITION, SELF_SUPERVISED, None))
ALL_TASKS = ((PROBES, FAMILIES), (RECOGNITION, SELF_SUPERVISED))

CLAIMS = {
    "Brain alignment": (
        Claim(
            "Brain-tuning raises alignment with late language regions",
            "abstract; section 4.1, Fig. 2a",
            LATE,
            GAIN,
            "above",
            families=SELF_SUPERVISED,
        ),
        Claim(
            "The rise is about 30 %",
            "section 4.1",
            LATE,
            GAIN,
            "equal to",
            30,
            SELF_SUPERVISED,
            of_published=True,
        ),
        Claim(
            "It does not raise Whisper's alignment with late language regions",
            "section 4.1, Fig. 2a",
            LATE,
            GAIN,
            "not above",
            families=("Whisper",),
        ),
        Claim(
            "It does not raise alignment with primary auditory regions",
            "section 4.1, Fig. 2b",
            PRIMARY,
            GAIN,
            "not above",
        ),
        Claim(
            "The rise is due to the matching fMRI: permuted fMRI does less",
            "section 4.1",
            LATE,
            ("brain-tuned", "block-permuted"),
            "above",
            families=SELF_SUPERVISED,
        ),
        Claim(
            "Block-permuted fMRI lowers alignment with late language regions",
            "section 4.1; A.4, Fig. 6a",
            LATE,
            PERMUTED_GAIN,
            "below",
        ),
        Claim(
            "Tuning towards a bigger speech model lowers it",
            "section 4.1, Fig. 2a",
            LATE,
            BIG_GAIN,
            "below",
        ),
        Claim(
            "Block-permuted fMRI lowers it most",
            "A.4, Fig. 6a",
            LATE,
            ("block-permuted", "big-slm"),
            "below",
        ),
        Claim(
            "Block-permuted fMRI lowers alignment with primary auditory regions",
            "A.4, Fig. 6b",
            PRIMARY,
            PERMUTED_GAIN,
            "below",
        ),
    ),
    "Low-level impact": (
        Claim(
            "Pretrained models' alignment with late language regions is mostly low-level",
            "abstract; section 1",
            JOINT_IMPACT,
            ("pretrained",),
            "above",
            50,
        ),
        *(
            Claim(
                "Brain-tuning lowers the impact on late language regions",
                "abstract; section 4.2, Fig. 3a",
                measure,
                GAIN,
                "below",
            )
            for measure in (IMPACT, JOINT_IMPACT)
        ),
        *(
            Claim(
                "Other targets do not lower it",
                "section 4.2, Fig. 3a; A.5, Fig. 7a",
                IMPACT,
                compared,
                "not below",
            )
            for compared in (PERMUTED_GAIN, BIG_GAIN)
        ),
        *(
            Claim(
                "Block-permuted fMRI has the highest impact there",
                "A.5, Fig. 7a",
                IMPACT,
                ("block-permuted", other),
                "above",
            )
            for other in ("pretrained", "big-slm", "brain-tuned")
        ),
        Claim(
            "Brain-tuning does not change the impact on primary auditory regions",
            "section 4.2, Fig. 3b",
            PRIMARY_IMPACT,
            GAIN,
            "equal to",
        ),
        Claim(
            "Block-permuted fMRI raises the impact on primary auditory regions",
            "A.5, Fig. 7b",
            PRIMARY_IMPACT,
            PERMUTED_GAIN,
            "above",
        ),
    ),
    "Downstream tasks": (
        *(
            Claim(
                "Brain-tuning improves all tasks but emotion",
                "abstract; section 4.3, Fig. 4",
                measure,
                GAIN,
                "above",
                families=families,
                tasks=tasks,
            )
            for measure, families, tasks in TASKS
        ),
        Claim(
            "Emotion changes slightly, up or down",
            "section 4.3, Fig. 4f",
            PROBES,
            GAIN,
            "equal to",
            tasks=("emotion",),
        ),
        *(
            Claim(
                "Brain-tuned models outperform models tuned otherwise",
                source,
                measure,
                ("brain-tuned", other),
                "above",
                families=families,
                tasks=tasks,
            )
            for other, source in (
                ("big-slm", "section 4.3, Fig. 4"),
                ("block-permuted", "section 4.3, Fig. 4"),
                ("stimulus-tuned", "section 3.3.1; D.2, Fig. 10"),
            )
            for measure, families, tasks in TASKS
        ),
        *(
            Claim(
                "A bigger speech model as target does no harm",
                "section 4.3, Fig. 4",
                measure,
                BIG_GAIN,
                "not below",
                families=families,
            )
            for measure, families in ALL_TASKS
        ),
        *(
            Claim(
                "Block-permuted fMRI does not help",
                "section 4.3; D.2, Fig. 10",
                measure,
                PERMUTED_GAIN,
                "not above",
                families=families,
            )
            for measure, families in ALL_TASKS
        ),
        Claim(
            "Brain-tuned models outperform the naive classifier",
            "section 4.3, Fig. 4",
            PROBES,
            ("brain-tuned", NAIVE),
            "above",
        ),
        Claim(
            "Whisper's encoder is near the naive classifier before brain-tuning",
            "section 4.3, Fig. 4",
            PROBES,
            ("pretrained", NAIVE),
            "equal to",
            families=("Whisper",),
            of_published=True,
        ),
        Claim(
            "Tuning towards a text model improves phones and sentence type, as brain-tuning does",
            "section 3.3.1; D.2, Fig. 10",
            PROBES,
            ("text-lm", "pretrained"),
            "above",
            tasks=("phones", "sentence type"),
        ),
        *(
            Claim(
                "Further pretraining on the stories changes nothing",
                "section 3.3.1; D.2, Fig. 10",
                measure,
                ("stimulus-tuned", "pretrained"),
                "equal to",
                families=families,
            )
            for measure, families in ALL_TASKS
        ),
        *(
            Claim(
                "Low-level tasks do not get substantially worse",
                "section 5; D.1, Fig. 9",
                LOW_LEVEL,
                compared,
                "above",
                NOT_MUCH_LOWER,
            )
            for compared in (GAIN, BIG_GAIN)
        ),
    ),
    "Semantic–phonetic preference": (
        Claim(
            "Late layers of brain-tuned models prefer meaning more than pretrained ones do",
            "abstract; section 4.3; C, Fig. 8",
            LATE_PREFERENCE,
            GAIN,
            "below",
            families=SELF_SUPERVISED,
        ),
        Claim(
            "In brain-tuned models, late layers prefer meaning more than earlier ones",
            "section 4.3; C, Fig. 8",
            LATE_PREFERENCE_GAIN,
            ("brain-tuned",),
            "below",
            families=SELF_SUPERVISED,
        ),
        Claim(
            "In pretrained models, they do not",
            "section 4.3; C, Fig. 8",
            LATE_PREFERENCE_GAIN,
            ("pretrained",),
            "not below",
            families=SELF_SUPERVISED,
        ),
    ),
    "Scale": (
        Claim(
            "A brain-tuned smaller model is as aligned with late language regions as a larger one",
            "section 4.2; A.2, Fig. 5",
            in_two_sizes("alignment with late language regions", "mean r / ceiling", "alignment"),
            (TUNED_SMALL, LARGE),
            "not below",
            families=("HuBERT",),
        ),
        Claim(
            "The impact of low-level features on this alignment is lower",
            "section 4.2; A.2, Fig. 5",
            in_two_sizes("low-level impact, four features at once", "% of alignment", "impact"),
            (TUNED_SMALL, LARGE),
            "below",
            families=("HuBERT",),
        ),
        Claim(
            "A brain-tuned smaller model is as good at downstream tasks as a larger one",
            "E.1, Fig. 11",
            in_two_sizes("F1", "F1", "probes"),
            (TUNED_SMALL, LARGE),
            "not below",
            families=("HuBERT",),
        ),
        Claim(
            "The more data for brain-tuning, the larger its gain",
            "E.2, Fig. 12b",
            STORY_SLOPE,
            (BY_STORIES,),
            "above",
        ),
        Claim(
            "The larger the model, the smaller the gain",
            "E.2, Fig. 12a",
            SIZE_SLOPE,
            (BY_SIZE,),
            "below",
        ),
    ),
}
