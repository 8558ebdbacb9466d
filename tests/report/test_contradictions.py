"""The paper's inconsistencies, as its list of facts has them; each is found in the reported cells."""

import pytest
from made_records import REPORTED

from dmcore.errors import UserError
from doublemargin.report.verdict.contradictions import contradictions


@pytest.fixture(scope="module")
def found():
    return {c.title: c for c in contradictions(REPORTED)}


def test_one_cell_several_values(found):
    rows = {tuple(row[:4]): row[4] for row in found["One cell, several values"].rows}
    assert rows["mnist small ibp 0.3", "cnn-cert-relu", "linf", "0.1"] == "Table 2: 39.5; Table 8: 39.5; Table 14: 45.5"
    assert rows["mnist small adv 0.3", "cnn-cert-relu", "linf", "0.03"].endswith("Table 14: 0.0")
    assert not any(key[0].startswith("mnist small relu_stability") for key in rows)  # agrees in every cell


def test_permuted_rows_show_in_the_clean_accuracy(found):
    rows = dict(found["Clean accuracy that depends on the certifier"].rows)
    assert rows == {
        "cifar10 small normal": "Table 13: 53.5; Table 14: 60.5; Table 15: 53.5; Table 16: 53.5",
        "cifar10 small l1": "Table 13: 60.5; Table 14: 57.0; Table 15: 60.5; Table 16: 60.5",
        "cifar10 small adv 8/255": "Table 13: 57.0; Table 14: 53.5; Table 15: 57.0; Table 16: 57.0",
    }


def test_labels_of_eps(found):
    assert found["The same accuracies under other ε"].rows == [
        [
            *("mnist small dm_for_l1 4", "l1", "68.5, 62.5, 53.0, 35.5, 11.0"),
            "Table 4: 0, 0.25, 0.5, 0.75, 1; Table 7: 0, 1, 2, 3, 4",
        ],
        [
            *("cifar10 small dm_for_l1 2", "l1", "30.0, 28.5, 27.0, 23.5, 22.5"),
            "Table 4: 0, 0.05, 0.1, 0.15, 0.2; Table 7: 0, 0.5, 1, 1.5, 2",
        ],
    ]


def test_times(found):
    several = {row[0]: row[2] for row in found["One model, several training times"].rows}
    assert several == {"mnist small dm 0.3": "1.2", "cifar10 small ibp 8/255": "6.0", "cifar10 small dm 8/255": "7.5"}
    same = {row[1]: row[2] for row in found["Several models, one training time"].rows}
    assert same["520.0"] == "mnist small dm 0.3; mnist small dm 0.1"
    slower = found["Faster on all architectures and data sets"]
    assert [row[:2] for row in slower.rows] == [
        ["mnist pooling", "0.3"],
        ["mnist resnet", "0.1"],
        ["mnist resnet", "0.2"],
    ]
    assert slower.rows[0][2:] == ["408.0", "395.4"]


def test_the_largest_gains(found):
    rows = {(row[0], row[2]): row[3:] for row in found["What the largest gains are gains over"].rows}
    assert rows["mnist", "0.3, small"] == ["dm_l1 83.5", "bounded 28.5", "55.0", "30.0"]
    assert rows["mnist", "any, small"] == ["dm_l1 83.5", "bounded 75.0", "8.5", "77.5"]
    assert rows["cifar10", "8/255, small"][:3] == ["dm 40.5", "ibp 20.0", "20.5"]
    assert rows["cifar10", "8/255, pooling"][2] == "21.0"
    assert rows["gtsrb", "8/255, pureconv"][:3] == ["dm 50.0", "ibp 26.0", "24.0"]


def test_collapsed(found):
    rows = {tuple(row[:2]): row[2] for row in found["Collapsed models"].rows}
    assert rows["cifar10 small relu_stability 8/255", "Table 9"] == "12.0% at every ε from 0 on"
    assert rows["mnist large dm 0.3", "Table 11"] == "loses 84.5 points where it reaches ε_train"


def test_samples(found):
    assert found["200 points against the full test set"].text.startswith("In 14 of the 16 cells")
    assert ["cifar10 medium normal", "50", "61.0"] in found["Medium networks on 20 and on 200 points"].rows
    assert "in 0 of 12 models" in found["Medium networks on 20 and on 200 points"].text


def test_order_of_the_certifiers(found):
    order = found["Certifiers out of order"]
    assert "impossible, in 0 cells" in order.text
    assert ["mnist small dm 0.3", "0.2", "77.0", "77.5"] in order.rows


def test_the_written_remarks_come_last(found):
    assert list(found)[-1] == "The (std) of Table 2 is never explained"
    assert "26.8%" in found["A number without a row"].text
    assert found["A number without a row"].rows == []


def test_remarks_that_are_gone_are_named(tmp_path):
    alone = tmp_path / "reported.csv"
    alone.write_bytes(REPORTED.read_bytes())
    with pytest.raises(UserError, match=r"cannot read .*inconsistencies\.md"):
        contradictions(alone)
