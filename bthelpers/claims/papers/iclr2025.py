"""Published: the claims of the ICLR paper's abstract, section 4 and appendices, as a table.

In our words, each with the quantities that test it and where their values are claimed to be.
"""

from __future__ import annotations

from bthelpers.claims import margins
from bthelpers.claims.claim import FAMILIES, Claim, Statement
from bthelpers.claims.quantities import (
    BY_SIZE,
    BY_STORIES,
    CONTRASTS,
    EARLY_LOW_LEVEL,
    LARGE,
    LATE_LOW_LEVEL,
    LATE_PREFERENCE,
    LATE_PREFERENCE_GAIN,
    LOW_LEVEL,
    NAIVE,
    NEIGHBOURS,
    PROBES,
    RECOGNITION,
    SEMANTIC,
    SIZE_SLOPE,
    STORY_SLOPE,
    TUNED_SMALL,
    VOXEL_COUNT,
    VOXELS,
    alignment_with,
    impact_on,
    in_two_sizes,
)

SELF_SUPERVISED = ("Wav2vec2", "HuBERT")
GAIN = ("brain-tuned", "pretrained")
PERMUTED_GAIN = ("block-permuted", "pretrained")
BIG_GAIN = ("big-slm", "pretrained")
TEXT_GAIN = ("text-lm", "pretrained")
BIG_TEXT = "big-text-lm"
STIMULUS_GAIN = ("stimulus-tuned", "pretrained")
LATE = alignment_with("late_language", "late language regions")
PRIMARY = alignment_with("primary_auditory", "primary auditory regions")
IMPACT = impact_on("late_language", "late language regions")
JOINT_IMPACT = impact_on("late_language", "late language regions", ("joint",))
PRIMARY_IMPACT = impact_on("primary_auditory", "primary auditory regions")
TWO_ALIGNMENTS = in_two_sizes(
    "alignment with late language regions", "% of the larger", "alignment", margins.ALIGNMENT
)
TWO_IMPACTS = in_two_sizes(
    "low-level impact, four features at once", "% of alignment", "impact", margins.IMPACT
)
TWO_SCORES = in_two_sizes("F1", "F1", "probes", margins.SCORE)
BUT_EMOTION = ("action", "sentence type", "phones", "word")
# Whisper's recognition is not in the paper (B).
TASKS = ((PROBES, FAMILIES, BUT_EMOTION), (RECOGNITION, SELF_SUPERVISED, None))
ALL_TASKS = ((PROBES, FAMILIES), (RECOGNITION, SELF_SUPERVISED))

CLAIMS = {
    "Brain alignment": (
        Claim(
            "Of each participant, 30,000 to 50,000 voxels are above the noise ceiling's threshold",
            "section 3.2",
            (Statement(VOXEL_COUNT, (VOXELS,), "equal to", 40_000, families=()),),
            of_published=True,
        ),
        Claim(
            "Brain-tuning raises alignment with late language regions",
            "abstract; section 4.1, Fig. 2a",
            (Statement(LATE, GAIN, "above", families=SELF_SUPERVISED),),
        ),
        Claim(
            "The rise is about 30 %",
            "section 4.1",
            (Statement(LATE, GAIN, "equal to", 30, SELF_SUPERVISED, margin=margins.RISE),),
            of_published=True,
        ),
        Claim(
            "It does not raise Whisper's alignment with late language regions",
            "section 4.1, Fig. 2a",
            (Statement(LATE, GAIN, "not above", families=("Whisper",)),),
        ),
        Claim(
            "It does not raise alignment with primary auditory regions",
            "section 4.1, Fig. 2b",
            (Statement(PRIMARY, GAIN, "not above"),),
        ),
        Claim(
            "The rise is due to the matching fMRI: permuted fMRI does less",
            "section 4.1",
            (
                Statement(
                    LATE, ("brain-tuned", "block-permuted"), "above", families=SELF_SUPERVISED
                ),
            ),
        ),
        Claim(
            "Block-permuted fMRI lowers alignment with late language regions",
            "section 4.1; A.4, Fig. 6a",
            (Statement(LATE, PERMUTED_GAIN, "below"),),
        ),
        Claim(
            "Tuning towards a bigger speech model lowers it",
            "section 4.1, Fig. 2a",
            (Statement(LATE, BIG_GAIN, "below"),),
        ),
        Claim(
            "Block-permuted fMRI lowers it most",
            "A.4, Fig. 6a",
            (Statement(LATE, ("block-permuted", "big-slm"), "below"),),
        ),
        Claim(
            "Block-permuted fMRI lowers alignment with primary auditory regions",
            "A.4, Fig. 6b",
            (Statement(PRIMARY, PERMUTED_GAIN, "below"),),
        ),
    ),
    "Low-level impact": (
        Claim(
            "Pretrained models' alignment with late language regions is mostly low-level",
            "abstract; section 1",
            (Statement(JOINT_IMPACT, ("pretrained",), "above", 50),),
        ),
        Claim(
            "Brain-tuning lowers the impact on late language regions",
            "abstract; section 4.2, Fig. 3a",
            tuple(Statement(measure, GAIN, "below") for measure in (IMPACT, JOINT_IMPACT)),
        ),
        Claim(
            "Other targets do not lower it",
            "section 4.2, Fig. 3a; A.5, Fig. 7a",
            tuple(Statement(IMPACT, gain, "not below") for gain in (PERMUTED_GAIN, BIG_GAIN)),
        ),
        Claim(
            "Block-permuted fMRI has the highest impact there",
            "A.5, Fig. 7a",
            tuple(
                Statement(IMPACT, ("block-permuted", other), "above")
                for other in ("pretrained", "big-slm", "brain-tuned")
            ),
        ),
        Claim(
            "Brain-tuning does not change the impact on primary auditory regions",
            "section 4.2, Fig. 3b",
            (Statement(PRIMARY_IMPACT, GAIN, "equal to"),),
        ),
        Claim(
            "Block-permuted fMRI raises the impact on primary auditory regions",
            "A.5, Fig. 7b",
            (Statement(PRIMARY_IMPACT, PERMUTED_GAIN, "above"),),
        ),
    ),
    "Downstream tasks": (
        Claim(
            "Brain-tuning improves all tasks but emotion",
            "abstract; section 4.3, Fig. 4",
            tuple(Statement(measure, GAIN, "above", 0, *of) for measure, *of in TASKS),
        ),
        Claim(
            "Emotion changes slightly, up or down",
            "section 4.3, Fig. 4f",
            (Statement(PROBES, GAIN, "equal to", tasks=("emotion",)),),
        ),
        *(
            Claim(
                f"Brain-tuned models outperform {words}",
                source,
                tuple(
                    Statement(measure, ("brain-tuned", other), "above", 0, *of)
                    for measure, *of in TASKS
                ),
            )
            for other, words, source in (
                ("big-slm", "those tuned towards a bigger speech model", "section 4.3, Fig. 4"),
                ("block-permuted", "those of block-permuted fMRI", "section 4.3, Fig. 4"),
                (
                    "stimulus-tuned",
                    "those that only heard the stories",
                    "section 3.3.1; D.2, Fig. 10",
                ),
            )
        ),
        Claim(
            "A bigger speech model as target does no harm",
            "section 4.3, Fig. 4",
            tuple(
                Statement(measure, BIG_GAIN, "not below", families=families)
                for measure, families in ALL_TASKS
            ),
        ),
        Claim(
            "Block-permuted fMRI does not help",
            "section 4.3; D.2, Fig. 10",
            tuple(
                Statement(measure, PERMUTED_GAIN, "not above", families=families)
                for measure, families in ALL_TASKS
            ),
        ),
        Claim(
            "Brain-tuned models outperform the naive classifier",
            "section 4.3, Fig. 4",
            (Statement(PROBES, ("brain-tuned", NAIVE), "above"),),
        ),
        Claim(
            "Whisper's encoder is near the naive classifier before brain-tuning",
            "section 4.3, Fig. 4",
            (
                Statement(
                    PROBES,
                    ("pretrained", NAIVE),
                    "equal to",
                    families=("Whisper",),
                    margin=margins.NAIVE,
                ),
            ),
            of_published=True,
        ),
        Claim(
            "Brain-tuning gains most on phones and sentence type",
            "D.2, Fig. 10",
            (Statement(CONTRASTS, GAIN, "above"),),
        ),
        Claim(
            "Tuning towards a text model improves phones and sentence type, as brain-tuning does",
            "section 3.3.1; D.2, Fig. 10",
            (Statement(PROBES, TEXT_GAIN, "above", tasks=SEMANTIC),),
        ),
        Claim(
            "A bigger text model, Llama-2 in place of GPT-2, improves them more",
            "D.2, Fig. 10",
            (Statement(PROBES, (BIG_TEXT, "text-lm"), "above", tasks=SEMANTIC),),
        ),
        Claim(
            "The bigger text model improves them slightly more than brain-tuning does",
            "D.2, Fig. 10",
            (Statement(PROBES, (BIG_TEXT, "brain-tuned"), "above", tasks=SEMANTIC),),
        ),
        Claim(
            "Further pretraining on the stories changes nothing",
            "section 3.3.1; D.2, Fig. 10",
            tuple(
                Statement(measure, STIMULUS_GAIN, "equal to", families=families)
                for measure, families in ALL_TASKS
            ),
        ),
        Claim(
            "Low-level tasks do not get substantially worse",
            "section 5; D.1, Fig. 9",
            tuple(Statement(LOW_LEVEL, gain, "not below") for gain in (GAIN, BIG_GAIN)),
        ),
        Claim(
            "In low-level tasks, early layers stay the same and late layers get slightly worse",
            "D.1, Fig. 9",
            (
                Statement(EARLY_LOW_LEVEL, GAIN, "equal to"),
                Statement(LATE_LOW_LEVEL, GAIN, "below"),
            ),
        ),
    ),
    "Semantic–phonetic preference": (
        Claim(
            "Neighbours of both kinds are nearer than random words",
            "C",
            tuple(
                Statement(NEIGHBOURS, (name,), "below", 1, SELF_SUPERVISED)
                for name in ("pretrained", "brain-tuned")
            ),
        ),
        Claim(
            "Late layers of brain-tuned models prefer meaning more than pretrained ones do",
            "abstract; section 4.3; C, Fig. 8",
            (Statement(LATE_PREFERENCE, GAIN, "below", families=SELF_SUPERVISED),),
        ),
        Claim(
            "In brain-tuned models, late layers prefer meaning more than earlier ones",
            "section 4.3; C, Fig. 8",
            (Statement(LATE_PREFERENCE_GAIN, ("brain-tuned",), "below", families=SELF_SUPERVISED),),
        ),
        Claim(
            "In pretrained models, they do not",
            "section 4.3; C, Fig. 8",
            (
                Statement(
                    LATE_PREFERENCE_GAIN, ("pretrained",), "not below", families=SELF_SUPERVISED
                ),
            ),
        ),
    ),
    "Scale": (
        Claim(
            "A brain-tuned smaller model is as aligned with late language regions as a larger one",
            "section 4.2; A.2, Fig. 5",
            (Statement(TWO_ALIGNMENTS, (TUNED_SMALL, LARGE), "not below", families=("HuBERT",)),),
        ),
        Claim(
            "The impact of low-level features on this alignment is lower",
            "section 4.2; A.2, Fig. 5",
            (Statement(TWO_IMPACTS, (TUNED_SMALL, LARGE), "below", families=("HuBERT",)),),
        ),
        Claim(
            "A brain-tuned smaller model is as good at downstream tasks as a larger one",
            "E.1, Fig. 11",
            (Statement(TWO_SCORES, (TUNED_SMALL, LARGE), "not below", families=("HuBERT",)),),
        ),
        Claim(
            "The more data for brain-tuning, the larger its gain",
            "E.2, Fig. 12b",
            (Statement(STORY_SLOPE, (BY_STORIES,), "above"),),
        ),
        Claim(
            "The larger the model, the smaller the gain",
            "E.2, Fig. 12a",
            (Statement(SIZE_SLOPE, (BY_SIZE,), "below"),),
        ),
    ),
}
