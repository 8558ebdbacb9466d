"""The paper's claims: its words, where they stand, and the cells of its tables that they speak of.

No number of a result stands here outside the paper's words: both sides are read from the tables.
"""

from __future__ import annotations

from dataclasses import dataclass

from doublemargin.report.claims.accuracies import Ahead, Comparable, Gain, NeverBelow, Pairs, Represents
from doublemargin.report.claims.times import Times

TOLERATED_SHARE = 0.1
"""How large a part of its comparisons may go against a claim that says "generally" or "nearly all"."""


@dataclass(frozen=True)
class Claim:
    """A claim of the paper.

    Attributes:
        name: its id, for links and the CSV.
        title: in a few words.
        words: the paper's.
        section: where they stand.
        parts: which numbers it compares, and how.
        exceptions: the share of the comparisons that may go otherwise.
        remark: how we read it.
    """

    name: str
    title: str
    words: str
    section: str
    parts: tuple[Pairs | Gain | Times, ...]
    exceptions: float = 0.0
    remark: str = ""


DM, IBP, BOUNDED = {"method": "dm"}, {"method": "ibp"}, {"method": "bounded"}
RELU = {"table": "table14", "certifier": "cnn-cert-relu"}
BY_IBP = {"table": "table16", "certifier": "ibp"}
TABLE2 = {"table": "table2"}
MNIST = {**TABLE2, "dataset": "mnist", "points": 200}
CIFAR = {**TABLE2, "dataset": "cifar10", "points": 200}
GTSRB = {**TABLE2, "dataset": "gtsrb", "points": 200}
STABILITY_AND_ATTACKS = ("adv", "relu_stability", "l1_rs_pruning", "adv_rs_pruning")
OWN_NORM = {"linf": "dm", "l2": "dm_for_l2", "l1": "dm_for_l1"}
LARGE = (("mnist", "0.07"), ("cifar10", "3/255"))
"""Beyond these ε networks trained with IBP differ between certifiers."""

CLAIMS = (
    Claim(
        "mnist-large-eps",
        "Ahead of IBP at large ε on MNIST",
        "On MNIST, our methods […] outperform IBP and Bounded for large perturbation sizes beyond ε = 0.07.",
        "4.2, Table 2",
        (Ahead(DM, IBP, MNIST, above="0.07"),),
        remark="Against IBP; Bounded has a claim of its own below.",
    ),
    Claim(
        "cifar-large-eps",
        "Ahead of IBP at large ε on CIFAR-10",
        "On CIFAR, our method […] outperform[s] IBP and Bounded for perturbation sizes beyond ε = 0.5/255.",
        "4.2, Table 2",
        (Ahead(DM, IBP, CIFAR, above="0.5/255"),),
        remark="On both networks of Table 2; Bounded has a claim of its own below.",
    ),
    Claim(
        "gtsrb-large-eps",
        "Ahead of IBP at large ε on GTSRB",
        "On GTSRB, our method outperforms IBP and MMR for ε = 3/255 and larger.",
        "4.2, Table 2",
        (Ahead(DM, IBP, GTSRB, least="3/255"),),
        remark="Against IBP; MMR has a claim of its own below.",
    ),
    Claim(
        "bounded",
        "Ahead of Bounded at large ε",
        "[We] outperform IBP and Bounded for large perturbation sizes beyond ε = 0.07 [on MNIST, and] beyond "
        "ε = 0.5/255 [on CIFAR].",
        "4.2, Table 2",
        (Ahead(DM, BOUNDED, MNIST, above="0.07"), Ahead(DM, BOUNDED, CIFAR, above="0.5/255")),
    ),
    Claim(
        "mmr",
        "Ahead of MMR at large ε on GTSRB",
        "On GTSRB, our method outperforms IBP and MMR for ε = 3/255 and larger.",
        "4.2, Table 2",
        (Ahead(DM, {"method": "mmr"}, {**TABLE2, "dataset": "gtsrb"}, least="3/255"),),
    ),
    Claim(
        "all-nets",
        "Ahead of IBP on every network",
        "In brief, all the experiments show that our method achieves higher CNN-Cert accuracy for large ε than any "
        "prior work.",
        "4.2, Tables 6, 8, 9",
        tuple(
            Ahead(DM, IBP, {"table": table, "dataset": dataset, "points": 200}, trained=True)
            for table, dataset in (("table6", "gtsrb"), ("table8", "mnist"), ("table9", "cifar10"))
        ),
        remark="Read as: against IBP, at the ε that both were trained at, on all networks with 200 points.",
    ),
    Claim(
        "gain-mnist",
        "Up to 55 points ahead on MNIST",
        "[…] up to a 55% increase in certified accuracy at ε = 0.2 on MNIST […] compared to all current "
        "state-of-the-art certification based training methods.",
        "1, Table 2",
        (Gain({**MNIST, "arch": "small"}, "0.2", ("dm", "dm_l1")),),
    ),
    Claim(
        "gain-cifar",
        "Up to 20.5 points ahead on CIFAR-10",
        "[…] up to a 20.5% increase at ε = 2/255 on CIFAR […]",
        "1, Table 2",
        (Gain({**CIFAR, "arch": "small"}, "2/255", ("dm",)),),
        remark="The number is the small network's.",
    ),
    Claim(
        "gain-gtsrb",
        "Up to 24 points ahead on GTSRB",
        "[…] and up to a 24% increase at ε = 8/255 on GTSRB.",
        "1, Table 2",
        (Gain(GTSRB, "8/255", ("dm",)),),
    ),
    Claim(
        "faster",
        "Trains faster",
        "[…] over all tested datasets, our training methods train in less time than IBP, Bounded, TRADES and MMR.",
        "4.2",
        (Times("dm", ("ibp", "bounded", "trades", "mmr")),),
        remark="Whole trainings, MMR's of its few epochs. Section 1 says even 'on all architectures and datasets'.",
    ),
    Claim(
        "zero-above-ibp",
        "CNN-Cert-Zero never below IBP",
        "[…] for any fixed network, IBP yields weaker than CNN-Cert-Zero. […] the CNN-Cert-Zero certifier yields "
        "higher or equal accuracies to IBP certification over all networks.",
        "K.1, Tables 15, 16",
        (NeverBelow({"table": "table15", "certifier": "cnn-cert-zero"}, BY_IBP),),
        remark="A theorem: one point that IBP certifies and CNN-Cert-Zero does not refutes it, or shows rounding.",
    ),
    Claim(
        "l0-transfer",
        "ℓ∞ training transfers to ℓ0",
        "Surprisingly, we find that standard Double Margin performs better than the ℓ0 modification for ℓ0 certified "
        "accuracies.",
        "I.1, Table 4",
        (Ahead(DM, {"method": "dm_for_l0"}, {"table": "table4", "norm": "l0"}, least="1", free=("eps_train",)),),
        remark="At every number of pixels.",
    ),
    Claim(
        "own-norm",
        "Each norm's version best on its own norm",
        "[…] on the largest perturbation size evaluated, each version of Double Margin generally performs best on its "
        "respective norm.",
        "I.1, Table 7",
        tuple(
            Ahead(
                {"method": own}, {"method": rival}, {"table": "table7", "norm": norm}, largest=True, free=("eps_train",)
            )
            for norm, own in OWN_NORM.items()
            for rival in OWN_NORM.values()
            if rival != own
        ),
        exceptions=TOLERATED_SHARE,
        remark="The ℓ∞, ℓ2 and ℓ1 versions.",
    ),
    Claim(
        "ensembles",
        "Ensembles as good as single models, or better",
        "We find that the ensemble model achieves the same or higher certified accuracies for nearly all the "
        "perturbation sizes tested.",
        "I.2, Table 5",
        (Comparable({"method": "dm_ensemble"}, DM, {"table": "table5"}, or_better=True),),
        exceptions=TOLERATED_SHARE,
        remark="Against the mean of three single models.",
    ),
    Claim(
        "smaller-weight",
        "Half the weight: better clean accuracy, still ahead of IBP",
        "Double Margin [* with λ = 1/4] still outperforms IBP on the largest ε […] while achieving a higher clean "
        "accuracy [than Double Margin].",
        "4.2, Table 2",
        (
            Ahead({"method": "dm_quarter"}, DM, TABLE2, only="0"),
            Ahead({"method": "dm_quarter"}, IBP, TABLE2, largest=True),
        ),
    ),
    Claim(
        "points",
        "200 points stand for the whole test set",
        "The certified accuracies are similar to those computed on 200 randomly selected test set points, indicating "
        "that the random sample is fairly representative.",
        "I.5, Table 10",
        tuple(
            Represents({"table": "table10"}, {"table": table, "points": 200}, free=("points",))
            for table in ("table8", "table9")
        ),
    ),
    Claim(
        "variation1",
        "Variation 1 comparable to IBP, or better",
        "Variation 1 ['s only'] performs comparably to or outperforms IBP.",
        "4.2, Table 2",
        (Comparable({"method": "dm_s_only"}, IBP, TABLE2, or_better=True),),
    ),
    Claim(
        "variation2",
        "Variation 2 comparable to Double Margin",
        "Variation 2 ['IBP+v'] performs comparably to Double Margin.",
        "4.2, Table 2",
        (Comparable({"method": "dm_ibp_v"}, DM, TABLE2),),
    ),
    Claim(
        "variation2-time",
        "Variation 2 takes 10-40% longer",
        "[…] but it requires one additional propagation during training (10-40% increased training time).",
        "4.2, Table 2",
        (Times("dm_ibp_v", ("dm",), takes=(1.1, 1.4)),),
    ),
    Claim(
        "l1-added",
        "ℓ1 regularization added helps",
        "We note that adding ℓ1 weight regularization to our regularizer further enhances our certified accuracies.",
        "4.2, Table 2",
        (Ahead({"method": "dm_l1"}, DM, MNIST, above="0"),),
    ),
    Claim(
        "mnist-stability",
        "Ahead of ReLU stability and adversarial training on MNIST",
        "On MNIST, our methods […] outperform ReLU stability based methods and adversarial training for ε = 0.01 and "
        "larger.",
        "4.2, Table 2",
        tuple(Ahead(DM, {"method": rival}, MNIST, least="0.01") for rival in STABILITY_AND_ATTACKS),
    ),
    Claim(
        "cifar-stability",
        "Ahead of ReLU stability and adversarial training on CIFAR-10",
        "On CIFAR, our method outperforms ReLU stability based methods and adversarial training for ε = 1/255 and "
        "larger.",
        "4.2, Table 2",
        tuple(Ahead(DM, {"method": rival}, CIFAR, least="1/255") for rival in STABILITY_AND_ATTACKS),
    ),
    Claim(
        "ibp-certified",
        "IBP-trained networks do best under IBP",
        "[…] for models trained on IBP, IBP certified accuracies are much higher than those of CNN-Cert-ReLU and "
        "CNN-Cert-Ada […]",
        "K.1, Tables 13, 14, 16",
        tuple(
            Ahead(BY_IBP, other, {**IBP, "dataset": dataset}, above=eps)
            for other in (RELU, {"table": "table13", "certifier": "cnn-cert-ada"})
            for dataset, eps in LARGE
        ),
        remark="Read as: at large ε, beyond 0.07 and 3/255; at small ε all certifiers agree.",
    ),
    Claim(
        "ibp-certified-over-dm",
        "IBP under its own certifier ahead of Double Margin",
        "[…] IBP certified accuracies [of models trained on IBP] are much higher […], outperforming Double Margin.",
        "K.1, Tables 14, 16",
        tuple(Ahead({**BY_IBP, **IBP}, {**RELU, **DM}, {"dataset": dataset}, above=eps) for dataset, eps in LARGE),
        remark="Double Margin under CNN-Cert-ReLU, at large ε as above.",
    ),
)
