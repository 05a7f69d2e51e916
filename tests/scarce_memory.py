"""A device that holds no more than so many at once."""

import torch


def hold(monkeypatch, owner, method, number):
    """Have a method run out of memory where it is given more; returns how many it was given."""
    whole, asked = getattr(owner, method), []

    def limited(self, items, *rest):
        asked.append(len(items))
        if len(items) > number:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return whole(self, items, *rest)

    monkeypatch.setattr(owner, method, limited)
    return asked
