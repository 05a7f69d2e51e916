SAMPLE_RATE = 16000
import numpy as np
def standardize(w):
    return ((w - w.mean()) / np.sqrt(w.var() + 1e-7)).astype(np.float32)
