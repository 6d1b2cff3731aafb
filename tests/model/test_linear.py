"""What is solved exactly: known weights come back, doubt shrinks with data, labels may be missing."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from ase import Atoms

from mlip_lab.core.errors import DataError
from mlip_lab.core.frame import Frame
from mlip_lab.model.exact import calibration, fit_exact, predict_uncertain
from mlip_lab.model.features import equations, n_features, smooth_mixing
from mlip_lab.model.linear import FORCE, Normal, Rows, frame_weights, labelled_rows, reference_energies
from mlip_lab.model.potential import Potential
from mlip_lab.model.structures import complete, prepare
from tests.tiny import tiny_config, tiny_frames


def line(rng: np.random.Generator, count: int, weights: np.ndarray, noise: float) -> Rows:
    x = rng.normal(size=(count, weights.size)) * np.logspace(-3, 3, weights.size)  # columns of very different length
    return Rows(x, x @ weights + noise * rng.normal(size=count), np.ones(count), np.full(count, FORCE))


def solved(*rows: Rows) -> object:
    normal = Normal(rows[0].x.shape[1])
    for part in rows:
        normal.add(part)
    return normal.solve()


def test_known_weights_come_back(rng: np.random.Generator) -> None:
    weights = rng.normal(size=8)
    solution = solved(line(rng, 40, weights, 0.0))
    # y is of order 1e3 and the shortest column 1e-3, so rounding of XᵀX and Xᵀy costs 1e-16 · 1e6 times a few hundred
    np.testing.assert_allclose(solution.weights, weights, rtol=1e-7)
    assert solution.noise < 1e-3


def test_equations_add_up(rng: np.random.Generator) -> None:
    weights, normals = rng.normal(size=5), [Normal(5), Normal(5)]
    rows = [line(rng, count, weights, 0.5) for count in (30, 50)]
    for normal, part in zip(normals, rows, strict=True):
        normal.add(part)
    joined, at_once = (normals[0] + normals[1]).solve(), solved(*rows)
    np.testing.assert_array_equal(joined.weights, at_once.weights)
    assert (joined.noise, joined.ridge) == (at_once.noise, at_once.ridge)


def test_noise_and_posterior_are_those_of_statistics(rng: np.random.Generator) -> None:
    weights = rng.normal(size=5) / np.logspace(-3, 3, 5)
    few, many = line(rng, 400, weights, 0.5), line(rng, 6400, weights, 0.5)
    one, other = solved(few), solved(many)
    for solution, rows in ((one, few), (other, many)):
        # a standard deviation from 400 residuals is uncertain by 1/√800 = 3.5 %; four of those
        assert solution.noise == pytest.approx(0.5, rel=0.15)
        # the posterior without a prior is σ² (XᵀX)⁻¹; the ridge of largest evidence takes a little off
        wanted = np.sqrt(np.diag(np.linalg.inv(rows.x.T @ rows.x))) * 0.5
        found = np.sqrt((solution.root**2).sum(axis=1))
        np.testing.assert_allclose(found, wanted, rtol=0.2)
        assert (np.abs(solution.weights - weights) < 5 * found).all()
    # sixteen times the data, a quarter of the doubt, up to the 10 % by which chance changes XᵀX
    ratio = np.sqrt((other.root**2).sum(axis=1)) / np.sqrt((one.root**2).sum(axis=1))
    np.testing.assert_allclose(ratio, 0.25, rtol=0.3)


def test_the_ridge_of_largest_evidence_grows_with_the_noise(rng: np.random.Generator) -> None:
    """Forty columns, sixty equations: with much noise the weights must be held back, and that must pay."""
    weights = 0.1 * rng.normal(size=40)
    x, fresh = rng.normal(size=(60, 40)), rng.normal(size=(500, 40))
    ridges = []
    for noise in (1e-6, 3.0):
        y = x @ weights + noise * rng.normal(size=60)
        normal = Normal(40)
        normal.add(Rows(x, y, np.ones(60), np.full(60, FORCE)))
        free, held = normal.solve(ridges=(1e-12,)), normal.solve(ridges=tuple(10.0 ** np.arange(-12.0, 1.5, 0.5)))
        ridges.append(held.ridge)
        errors = [np.linalg.norm(fresh @ (found.weights - weights)) for found in (free, held)]
        assert errors[1] < (1.001 if noise < 1 else 0.7) * errors[0]
    assert ridges[0] < 1e-6 < 1e-2 < ridges[1]


def test_a_column_of_zeros_does_no_harm_and_nothing_is_refused(rng: np.random.Generator) -> None:
    x = rng.normal(size=(20, 3))
    x[:, 1] = 0.0
    normal = Normal(3)
    normal.add(Rows(x, x @ [1.0, 5.0, -2.0], np.ones(20), np.full(20, FORCE)))
    np.testing.assert_allclose(normal.solve().weights, [1.0, 0.0, -2.0], atol=1e-9)
    with pytest.raises(DataError, match="no frame has energies"):
        Normal(3).solve()


def test_reference_energies_of_made_up_data() -> None:
    def frame(numbers: list[int], energy: float | None) -> Frame:
        n = len(numbers)
        return Frame(np.array(numbers), np.zeros((n, 3)), np.zeros((3, 3)), np.zeros(3, bool), energy=energy)

    frames = [frame([14, 8, 8], -12.0), frame([14], -4.0), frame([8, 8], -8.0), frame([14, 8], None)]
    np.testing.assert_allclose(reference_energies(frames, (8, 14)), [-4.0, -4.0], rtol=1e-12)
    frames = [frame([14, 8, 8], -1.5 - 2 * 4.25), frame([14, 14, 8], -3.0 - 4.25), frame([8, 8], -8.5)]
    np.testing.assert_allclose(reference_energies(frames, (8, 14)), [-4.25, -1.5], rtol=1e-12)
    # one composition only: the energies are not unique, their sum is
    alone = reference_energies([frame([14, 8, 8], -12.0)], (8, 14))
    assert alone @ [2, 1] == pytest.approx(-12.0)
    assert not reference_energies([frame([8], None)], (8, 14)).any()


def teacher(frames: list[Frame], seed: int, rng: np.random.Generator) -> Potential:
    """A potential that the linear readout with this seed can express exactly."""
    config = complete(tiny_config("linear"), frames)
    s, (n_p, n_b) = config.n_species, n_features(config)
    weights = {
        "e0": rng.normal(size=s),
        "pair": 0.1 * rng.normal(size=(s, n_p)),
        "mixing": smooth_mixing(config, np.random.default_rng(seed)),
        "linear": 0.01 * rng.normal(size=(s, n_b)),
    }
    return Potential(config, (weights,))


def labelled(frames: list[Frame], potential: Potential) -> list[Frame]:
    found = []
    for frame in frames:
        answer = potential.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc)
        stress = answer.virial / frame.volume
        found.append(replace(frame, energy=answer.energy, forces=answer.forces, stress=stress))
    return found


def largest_error(potential: Potential, frames: list[Frame]) -> float:
    errors = []
    for frame in frames:
        answer = potential.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc)
        errors += [abs(answer.energy - frame.energy) / 4, np.abs(answer.forces - frame.forces).max()]
    return max(errors)


# Forces are of order one, and a ridge of 1e-12 with columns of which some are all but dependent leaves 1e-6 of them.
RECOVERED = 1e-4


@pytest.mark.parametrize("gold", [0, 2])
def test_synthetic_data_are_learned_exactly(rng: np.random.Generator, gold: int) -> None:
    frames, fresh = tiny_frames(30, gold=gold), tiny_frames(4, gold=gold, seed=1)
    truth = teacher(frames, 3, rng)
    done: list[int] = []
    potential = fit_exact(
        tiny_config("linear"), labelled(frames, truth), seed=3, progress=lambda i, n, **_: done.append(n - i)
    )
    assert largest_error(potential, labelled(fresh, truth)) < RECOVERED
    assert done[-1] == 0 and done == sorted(done, reverse=True)


@pytest.mark.parametrize("kept", ["energy", "forces", "stress", "energy forces", "mixed"])
def test_labels_may_be_missing(rng: np.random.Generator, kept: str) -> None:
    frames = tiny_frames(40)
    truth = teacher(frames, 3, rng)
    data = labelled(frames, truth)
    for index, frame in enumerate(data):
        names = ("energy", "forces", "stress")
        keep = (names[index % 3],) if kept == "mixed" else kept.split()
        data[index] = replace(frame, **{name: None for name in names if name not in keep})
    potential = fit_exact(tiny_config("linear"), data, seed=3)
    fresh = labelled(tiny_frames(4, seed=1), truth)
    found = [potential.evaluate(f.numbers, f.positions, f.cell, f.pbc) for f in fresh]
    forces = max(np.abs(one.forces - frame.forces).max() for one, frame in zip(found, fresh, strict=True))
    energies = max(abs(one.energy - frame.energy) / 4 for one, frame in zip(found, fresh, strict=True))
    assert np.isfinite([forces, energies]).all()
    if "forces" in kept or kept == "mixed":
        assert forces < 1e-2  # of order one, from a third of the equations at the least
    if kept in ("energy forces", "mixed"):
        assert energies < 1e-3


def test_an_untrusted_trace_has_no_influence(rng: np.random.Generator) -> None:
    frames = labelled(tiny_frames(12), teacher(tiny_frames(12), 3, rng))
    shifted = [replace(f, stress=f.stress + 0.05 * (i + 1) * np.eye(3)) for i, f in enumerate(frames)]
    fresh = tiny_frames(2, seed=1)

    def forces(data: list[Frame], trusted: bool) -> np.ndarray:
        potential = fit_exact(tiny_config("linear"), data, seed=3, trusted=trusted)
        return np.array([potential.evaluate(f.numbers, f.positions, f.cell, f.pbc).forces for f in fresh])

    # differences of diagonal components cancel the shift to 1e-17; the solution magnifies that by its condition
    np.testing.assert_allclose(forces(shifted, False), forces(frames, False), atol=1e-6)
    assert np.abs(forces(shifted, True) - forces(frames, True)).max() > 1e-3


def test_equations_by_the_labels_there_are(rng: np.random.Generator) -> None:
    frame = tiny_frames(1)[0]
    arrays = (rng.normal(size=7), rng.normal(size=(4, 3, 7)), rng.normal(size=(3, 3, 7)))
    known = (0.0, np.zeros((4, 3)), np.zeros((3, 3)))
    assert labelled_rows(frame, *arrays, known, True, 1.0).x.shape == (1 + 12 + 6, 7)
    assert labelled_rows(frame, *arrays, known, False, 1.0).x.shape == (1 + 12 + 5, 7)
    slab = replace(frame, pbc=np.array([True, True, False]))
    assert labelled_rows(slab, *arrays, known, True, 1.0).x.shape == (1 + 12, 7)
    none = replace(frame, energy=None, forces=None, stress=None)
    assert labelled_rows(none, *arrays, known, True, 1.0).x.shape == (0, 7)


def test_doubt_shrinks_with_data_and_grows_away_from_it() -> None:
    config, near, far = tiny_config("linear"), tiny_frames(6, seed=9), tiny_frames(6, seed=9, rattle=0.3)
    doubts = []
    for count in (10, 80):
        potential = fit_exact(config, tiny_frames(count), seed=0)
        near_, far_ = (
            np.mean([predict_uncertain(potential, frame).forces_std for frame in frames]) for frames in (near, far)
        )
        root = np.linalg.norm(potential.posterior["root"] @ np.ones(potential.posterior["root"].shape[1]))
        assert far_ > near_ > 0 and np.isfinite(root)
        doubts.append(far_ / potential.posterior["noise"][1] / potential.posterior["factors"][1])
    # in units of the noise, which is the data's own
    assert doubts[1] < 0.8 * doubts[0]


def test_prediction_with_doubt_agrees_with_the_fused_kernel() -> None:
    for readout in ("linear", "kernel"):
        potential = fit_exact(tiny_config(readout), tiny_frames(15, gold=1), seed=0)
        frame = tiny_frames(1, gold=2, seed=4)[0]
        found = predict_uncertain(potential, frame)
        fused = potential.evaluate(frame.numbers, frame.positions, frame.cell, frame.pbc)
        # energies of a few eV are sums of terms that cancel: weights of a fit are up to 1e3 times what is left
        scale = max(1.0, *(float(np.abs(array).max()) for array in potential.members[0].values()))
        assert abs(found.energy - fused.energy / 4) < 1e-12 * scale + 1e-10
        np.testing.assert_allclose(found.forces, fused.forces, atol=1e-12 * scale + 1e-10)


def test_calibration_counts_what_was_left_out(rng: np.random.Generator) -> None:
    """With errors twice as large as the noise that was assumed, the factor is two."""
    weights = np.array([1.0, -1.0])
    solution = solved(line(rng, 4000, weights, 0.1))
    x = rng.normal(size=(4000, 2)) * 1e-3
    rows = Rows(x, x @ weights + 0.2 * rng.normal(size=4000), np.ones(4000), np.full(4000, FORCE))
    # a quantile of 4000 scores is uncertain by about 1.5 %
    np.testing.assert_allclose(calibration(solution, [rows]), [1.0, 2.0], rtol=0.08)


def test_a_supercell_counts_as_its_cells() -> None:
    """Energy, forces and stress of a cell twice as large say twice as much: the same equations, once more."""
    (cell,) = tiny_frames(1)
    atoms = Atoms(cell.numbers, cell.positions, cell=cell.cell, pbc=cell.pbc).repeat((1, 2, 1))
    twice = Frame(
        atoms.numbers.astype(np.int64), atoms.positions, atoms.cell.array, atoms.pbc, 2.0 * cell.energy,
        np.tile(cell.forces, (2, 1)), cell.stress,
    )  # fmt: skip
    config = complete(tiny_config("linear"), [cell])
    mixing = smooth_mixing(config, np.random.default_rng(0))
    found = []
    for frame, weight in zip((cell, twice), frame_weights([cell, twice]), strict=True):
        found.append(Normal(1 + sum(n_features(config))))
        found[-1].add(equations(prepare(frame, config), config, mixing, True, weight))
    small, large = found
    # products of columns whose sizes differ by orders: to a rounding of the largest
    np.testing.assert_allclose(large.xx, 2.0 * small.xx, atol=1e-11 * np.abs(small.xx).max())
    np.testing.assert_allclose(large.xy, 2.0 * small.xy, atol=1e-11 * np.abs(small.xy).max())
    assert large.yy == pytest.approx(2.0 * small.yy, rel=1e-11)
