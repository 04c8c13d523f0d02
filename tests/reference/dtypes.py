"""The dtypes of docs/format.md section 4."""

import math

from cursor import must

# 4. Dtypes: name and bits, by number.
DTYPES = [
    ("opaque", 8),
    ("BOOL", 8),
    ("U8", 8),
    ("I8", 8),
    ("U16", 16),
    ("I16", 16),
    ("U32", 32),
    ("I32", 32),
    ("U64", 64),
    ("I64", 64),
    ("F16", 16),
    ("BF16", 16),
    ("F32", 32),
    ("F64", 64),
    ("C64", 64),
    ("F8_E4M3", 8),
    ("F8_E5M2", 8),
    ("F8_E8M0", 8),
    ("F8_E4M3FNUZ", 8),
    ("F8_E5M2FNUZ", 8),
    ("F4", 4),
    ("F6_E2M3", 6),
    ("F6_E3M2", 6),
]

# 4.1. Block types: name, elements and bytes of a block, by number.
BLOCK_TYPES = {
    66: ("GGML_Q4_0", 32, 18),
    67: ("GGML_Q4_1", 32, 20),
    70: ("GGML_Q5_0", 32, 22),
    71: ("GGML_Q5_1", 32, 24),
    72: ("GGML_Q8_0", 32, 34),
    73: ("GGML_Q8_1", 32, 36),
    74: ("GGML_Q2_K", 256, 84),
    75: ("GGML_Q3_K", 256, 110),
    76: ("GGML_Q4_K", 256, 144),
    77: ("GGML_Q5_K", 256, 176),
    78: ("GGML_Q6_K", 256, 210),
    79: ("GGML_Q8_K", 256, 292),
    80: ("GGML_IQ2_XXS", 256, 66),
    81: ("GGML_IQ2_XS", 256, 74),
    82: ("GGML_IQ3_XXS", 256, 98),
    83: ("GGML_IQ1_S", 256, 50),
    84: ("GGML_IQ4_NL", 32, 18),
    85: ("GGML_IQ3_S", 256, 110),
    86: ("GGML_IQ2_S", 256, 82),
    87: ("GGML_IQ4_XS", 256, 136),
    93: ("GGML_IQ1_M", 256, 56),
    98: ("GGML_TQ1_0", 256, 54),
    99: ("GGML_TQ2_0", 256, 66),
    103: ("GGML_MXFP4", 32, 17),
    104: ("GGML_NVFP4", 64, 36),
    105: ("GGML_Q1_0", 128, 18),
}


def check_tensor_bytes(extent):
    """4: the bytes of a tensor of a known dtype are those of its shape."""
    if 0 < extent.dtype < len(DTYPES):
        bits = DTYPES[extent.dtype][1] * math.prod(extent.shape)
        must(bits == 8 * extent.decoded_bytes, "a tensor whose shape does not give its bytes")
    elif extent.dtype in BLOCK_TYPES:
        _, block_elements, block_bytes = BLOCK_TYPES[extent.dtype]
        elements = math.prod(extent.shape)
        row = extent.shape[-1] if extent.shape else 1
        must(elements == 0 or row % block_elements == 0, "a tensor whose rows are not whole blocks")
        must(
            elements // block_elements * block_bytes == extent.decoded_bytes,
            "a tensor whose blocks do not give its bytes",
        )


def chunk_bytes_of(dtype):
    """1.4: what a tensor's dtype fixes."""
    return 1 << 20 if not 0 < dtype < len(DTYPES) else max(DTYPES[dtype][1] // 8, 1) << 18
