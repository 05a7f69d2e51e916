"""A simulated dataset of a profile: voxels in the layout of ds003020, or electrodes in BIDS-EEG."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path

import numpy as np
import pandas as pd
import soundfile
import xarray as xr
from numpy.typing import NDArray
from pybv import write_brainvision

from bthelpers.core.checksums import write_sums
from bthelpers.core.files import atomic_folder, write_json
from bthelpers.core.progress import Progress
from bthelpers.data.files import refuse_to_replace
from bthelpers.params.recordings.settings import RecordingSettings
from bthelpers.params.settings import DatasetSettings
from bthelpers.params.simulation import SimulationSpec
from bthelpers.simulation.participants import (
    load_lexicons,
    make_dataset,
    planted_meanings,
    write_story,
)
from bthelpers.simulation.recordings.cap import electrodes
from bthelpers.simulation.recordings.eeg import electrode_lags, electrode_shares, story_latents
from bthelpers.simulation.stories import tell_stories
from bthelpers.simulation.voxels import (
    Latents,
    planted_ceilings,
    repeated_responses,
    voxel_signals,
    voxel_weights,
)

BEFORE, AFTER = 2.0, 1.0  # s of noise in a recording around its story
MICROVOLTS = 10.0  # standard deviation of what is recorded


def make_simulated(settings: DatasetSettings, seed: int) -> None:
    """Write the simulated dataset of a profile, by `make_dataset` or `make_recordings`."""
    if settings.recording is None:
        make_dataset(settings.root, settings.simulate, seed)
    else:
        make_recordings(settings.root, settings.simulate, settings.recording, seed)


def make_recordings(
    root: str | Path, spec: SimulationSpec, recording: RecordingSettings, seed: int
) -> None:
    """Write simulated participants with 64 electrodes, in the layout of BIDS-EEG.

    Parameters
    ----------
    root : path
        The folder to write. It appears when it is complete; one that is there is replaced.
    spec : SimulationSpec
        Stories, participants and noise; nothing of voxels and haemodynamic responses is used but
        how many different ``responses`` there are.
    recording : RecordingSettings
        The rate, and when electrodes follow what is heard.
    seed : int
        Everything random follows from it.

    Raises
    ------
    ValueError
        If ``root`` holds files and is no simulated dataset, or the rate does not divide that of
        sound.
    """
    refuse_to_replace(Path(root))
    progress = Progress("simulated dataset", len(spec.story_minutes) + spec.participants)
    with atomic_folder(root) as folder:
        for name in ("stimuli", "truth"):
            (folder / name).mkdir()
        latents = _write_stories(folder, spec, recording, seed, progress)
        _write_descriptions(folder, spec, recording, seed)
        for number, participant in enumerate(spec.participant_names):
            heard, own_seed = latents[spec.lexicon_of[participant]], [seed, 6, number]
            _write_participant(folder, participant, heard, spec, recording, own_seed)
            progress.advance(participant)
        write_sums(folder)


def _write_stories(
    root: Path, spec: SimulationSpec, recording: RecordingSettings, seed: int, progress: Progress
) -> dict[str, dict[str, Latents]]:
    """Tell and write all stories; latents by lexicon and story."""
    lexicons, lags = load_lexicons(spec), electrode_lags(spec, recording.planted)
    vectors = {path: planted_meanings(lexicon, spec, seed) for path, lexicon in lexicons.items()}
    latents = {path: {} for path in lexicons}
    told = tell_stories(lexicons[spec.lexicon], spec, seed)
    for number, (name, story, shift, _) in enumerate(told):
        sound = root / "stimuli" / f"{name}.wav"
        write_story(sound, sound.with_suffix(".TextGrid"), story)
        for path, meanings in vectors.items():
            rng = np.random.default_rng([seed, 5, number])  # the same to all participants
            latents[path][name] = story_latents(story, meanings, recording, lags, rng, shift)
        progress.advance(name)
    return latents


def _write_participant(
    root: Path,
    participant: str,
    latents: Mapping[str, Latents],
    spec: SimulationSpec,
    recording: RecordingSettings,
    seed: list[int],
) -> None:
    """Write one participant's recordings, a run for each time that a story is heard, and truth."""
    rng, shares = np.random.default_rng(seed), electrode_shares()
    follows = (shares.sel(kind="own") < 0.5).values
    ceilings = planted_ceilings(spec, follows, rng)
    response_of = rng.integers(spec.responses, size=shares.sizes["voxel"])
    weights = voxel_weights(list(latents.values()), shares.values, response_of, rng)
    folder = root / f"sub-{participant}" / "eeg"
    folder.mkdir(parents=True)
    _write_electrodes(folder / f"sub-{participant}_space-CapTrak")
    test_story, run = list(latents)[-1], 0
    for story, of_story in latents.items():
        signals = voxel_signals(of_story, weights, response_of)
        n_repeats = spec.repeats if story == test_story else 1
        for heard in repeated_responses(signals, ceilings, spec, n_repeats, rng):
            run += 1
            stem = folder / f"sub-{participant}_task-listening_run-{run:02d}"
            _write_run(stem, story, heard, recording.rate, rng)
    lags = electrode_lags(spec, recording.planted)
    truth = {f"{kind}_lag": ("voxel", by_lag[response_of]) for kind, by_lag in lags.items()}
    truth |= {"share": shares, "ceiling": ("voxel", ceilings)}
    attributes = {"seed": str(seed), "lexicon": spec.lexicon_of[participant]}
    path = root / "truth" / f"{participant}.nc"
    xr.Dataset(truth, attrs=attributes).to_netcdf(path, engine="h5netcdf")


def _write_run(
    stem: Path, story: str, heard: NDArray, rate: float, rng: np.random.Generator
) -> None:
    """Write a recording of responses (sample, electrode) with noise around them, and its tables."""
    names = list(electrodes())
    noise = (rng.normal(size=(round(length * rate), len(names))) for length in (BEFORE, AFTER))
    samples = MICROVOLTS * np.concatenate([next(noise), heard, next(noise)])
    write_brainvision(
        data=1e-6 * samples.T,  # V
        sfreq=rate,
        ch_names=names,
        fname_base=f"{stem.name}_eeg",
        folder_out=stem.parent,
        resolution=1.0,  # µV
    )
    sound = stem.parents[2] / "stimuli" / f"{story}.wav"
    event = [BEFORE, soundfile.info(sound).duration, "story", sound.name]
    _write_tsv(f"{stem}_events.tsv", [event], ["onset", "duration", "trial_type", "stim_file"])
    channels = [[name, "EEG", "µV", f"{rate:g}", "good"] for name in names]
    columns = ["name", "type", "units", "sampling_frequency", "status"]
    _write_tsv(f"{stem}_channels.tsv", channels, columns)
    sidecar = {
        "TaskName": "listening",
        "EEGReference": "average",
        "SamplingFrequency": rate,
        "PowerLineFrequency": "n/a",
        "SoftwareFilters": "n/a",
    }
    write_json(stem.with_name(f"{stem.name}_eeg.json"), sidecar)


def _write_electrodes(stem: Path) -> None:
    """Write where electrodes are, and in which coordinates."""
    rows = [[name, *(f"{metres:.6f}" for metres in place)] for name, place in electrodes().items()]
    _write_tsv(f"{stem}_electrodes.tsv", rows, ["name", "x", "y", "z"])
    system = {"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "m"}
    write_json(stem.with_name(f"{stem.name}_coordsystem.json"), system)


def _write_descriptions(
    root: Path, spec: SimulationSpec, recording: RecordingSettings, seed: int
) -> None:
    """Write what describes the dataset as a whole."""
    description = {
        "Name": "Simulated EEG of participants listening to synthetic stories",
        "BIDSVersion": "1.9.0",
        "DatasetType": "raw",
        "License": "CC0",
        "Simulated": True,
    }
    truth = {"seed": seed, **asdict(spec), "recording": asdict(recording)}
    write_json(root / "dataset_description.json", description)
    write_json(root / "truth/spec.json", truth)
    (root / ".bidsignore").write_text("truth/\n*.TextGrid\n", encoding="utf-8")
    rows = [[f"sub-{name}"] for name in spec.participant_names]
    _write_tsv(root / "participants.tsv", rows, ["participant_id"])


def _write_tsv(path: str | Path, rows: list[list], columns: list[str]) -> None:
    pd.DataFrame(rows, columns=columns).to_csv(path, sep="\t", index=False)
