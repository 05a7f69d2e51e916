from bthelpers.core import progress as progress_module
from bthelpers.core.progress import Progress


def test_progress_counts_on_standard_error(capsys):
    progress = Progress("tuning", 2)
    progress.advance("epoch 1")
    progress.advance()
    printed = capsys.readouterr()
    first, second = printed.err.splitlines()
    assert printed.out == ""
    assert first.startswith("tuning: 1 of 2 epoch 1")
    assert second.startswith("tuning: 2 of 2")
    assert "about 0 s left" in second


def test_progress_says_bytes_rate_and_time_left(monkeypatch, capsys):
    now = [100.0]
    monkeypatch.setattr(progress_module.time, "monotonic", lambda: now[0])
    progress = progress_module.ByteProgress("download", 4 * 10**9, 2)
    now[0] = 101
    progress.received(10**8)
    assert capsys.readouterr().err == ""
    now[0] = 120
    progress.received(9 * 10**8)
    line = "download: 1.000 of 4.000 GB, 0 of 2 files (50.0 MB/s, about 0:01:00 left)\n"
    assert capsys.readouterr().err == line
    now[0] = 200
    progress.expect(10**9)
    progress.received(4 * 10**9)
    progress.end_file()
    progress.end_file()
    line = "5.000 of 5.000 GB, 2 of 2 files (50.0 MB/s, about 0:00:00 left)\n"
    assert capsys.readouterr().err.endswith(line)
