import pytest

from taskhub import embedded
from taskhub.embedded.processor import refusal_on_linux, refusal_on_mac

HASWELL = "processor : 0\nflags\t\t: fpu sse4_2 avx avx2 fma f16c bmi1 bmi2\n"
NEHALEM = "processor : 0\nflags\t\t: fpu sse4_2\n"
NEOVERSE_V1 = "processor : 0\nFeatures\t: fp asimd sve bf16\n"
CORTEX_A72 = "processor : 0\nFeatures\t: fp asimd crc32\n"


@pytest.mark.parametrize(
    ("machine", "cpuinfo"),
    [("x86_64", HASWELL), ("aarch64", NEOVERSE_V1), ("armv7l", CORTEX_A72)],
)
def test_a_processor_with_the_instructions_is_not_refused(machine: str, cpuinfo: str) -> None:
    assert refusal_on_linux(machine, cpuinfo) is None


@pytest.mark.parametrize(
    ("machine", "cpuinfo", "missing"),
    [
        ("x86_64", NEHALEM, "avx2 fma f16c bmi2"),
        ("x86_64", HASWELL.replace("f16c", ""), "f16c"),
        ("x86_64", HASWELL + NEHALEM, "avx2 fma f16c bmi2"),
        ("x86_64", "", "avx2 fma f16c bmi2"),
        ("aarch64", CORTEX_A72, "sve"),
    ],
)
def test_the_refusal_is_one_line_that_names_what_is_missing(
    machine: str, cpuinfo: str, missing: str
) -> None:
    refusal = refusal_on_linux(machine, cpuinfo)

    assert refusal is not None
    assert refusal.startswith(f"the embedded pgvector needs {missing}, which this {machine}")
    assert "\n" not in refusal


def test_an_old_intel_mac_is_refused_and_an_apple_one_is_not() -> None:
    assert refusal_on_mac("arm64", "") is None
    assert refusal_on_mac("x86_64", "1\n") is None
    assert "avx2" in str(refusal_on_mac("x86_64", "0\n"))


def test_this_machine_gets_an_answer() -> None:
    refusal = embedded.vector_refusal()

    assert refusal is None or refusal.startswith("the embedded pgvector needs")
