"""Published benchmarks from their files to the row of the paper's table."""

import json

import pytest

from benchmarks.published import run as concept_benchmark
from benchmarks.published.run import COLUMNS, evaluate, table
from retrieval.concepts.learning import Settings
from retrieval.encoder import create_encoder, save_encoder


def test_the_row_of_the_papers_table():
    metrics = {
        "context": {"mrr": 0.40721, "recall@5": 0.5131},
        "concept_only": {"mrr": 0.6596, "map": None},
    }
    assert table("deepfashion2", {"ours": metrics}).splitlines() == [
        "| method | context mRR | context R@5 | concept mRR | concept mAP |",
        "| --- | --- | --- | --- | --- |",
        "| ours | 40.72 | 51.31 | 65.96 | - |",
    ]


@pytest.mark.filterwarnings("ignore::retrieval.concepts.concept.ConceptWarning")  # few photos
@pytest.mark.parametrize("name", ["conconchi", "perval"])
def test_a_benchmark_comes_out_as_a_row(name, request, monkeypatch):
    """From files to table, with an image tower that saw nothing: numbers, all within bounds."""
    monkeypatch.setattr(concept_benchmark, "CHUNK", 3)
    data = request.getfixturevalue(name)()
    metrics = evaluate(create_encoder("minilm-resnet10t", None), data, Settings(3, 0.01, 0.1))
    benchmark = "deepfashion2" if name == "perval" else name
    assert list(metrics) == ["text only", "kindred"]
    for found in metrics.values():
        for _, kind, metric in COLUMNS[benchmark]:
            assert 0 <= found[kind][metric] <= 1
        assert "captions" not in found
    assert len(table(benchmark, metrics).splitlines()) == 4


@pytest.mark.filterwarnings("ignore::retrieval.concepts.concept.ConceptWarning")  # few photos
def test_what_is_forgotten_is_averaged_over_concepts(conconchi, monkeypatch):
    data = conconchi()
    captions = [f"picture {number}" for number in range(len(data.gallery))]

    def recall(tower, texts, images_ND, concepts):
        assert texts == captions
        assert len(images_ND) == len(captions)
        assert [concept.name for concept in concepts] == list(data.nouns)
        return 0.5, [0.2, 0.4]

    monkeypatch.setattr(concept_benchmark, "caption_recall", recall)
    encoder = create_encoder("minilm-resnet10t", None)
    found = evaluate(encoder, data, Settings(3, 0.01, 0.1), captions)
    assert found["text only"]["captions"] == {"recall@10": 0.5}
    kept = found["kindred"]["captions"]
    assert kept["recall@10"] == pytest.approx(0.3)
    assert kept["by concept"] == {"concept-3": 0.2, "concept-5": 0.4}
    header, _, *rows = table("conconchi", found).splitlines()
    assert header.endswith("| captions R@10 |")
    assert [row.split("|")[-2].strip() for row in rows] == ["50.00", "30.00"]


@pytest.fixture(scope="module")
def base_model(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "base"
    save_encoder(create_encoder("minilm-resnet10t", None), folder)
    return folder


@pytest.mark.filterwarnings("ignore::retrieval.concepts.concept.ConceptWarning")  # few photos
@pytest.mark.parametrize("name", ["conconchi", "perval"])
def test_the_command_prints_the_row_and_writes_every_metric(
    name, request, monkeypatch, tmp_path, base_model, capsys
):
    request.getfixturevalue(name)()
    benchmark = "deepfashion2" if name == "perval" else name
    model, output = ["--model", str(base_model)], ["--output", str(tmp_path / "out.json")]
    captions = tmp_path / "captions.jsonl"
    lines = [{"image": path.name, "caption": path.stem} for path in tmp_path.rglob("*.jpg")]
    captions.write_text("\n".join(json.dumps(line) for line in lines))
    extra = [*output, "--captions", str(captions)]
    arguments = [benchmark, str(tmp_path), *model, "--steps", "3", *extra]
    monkeypatch.setattr("sys.argv", ["published", *arguments])
    concept_benchmark.main()
    printed = capsys.readouterr().out
    found = json.loads((tmp_path / "out.json").read_text("utf-8"))
    assert list(found) == ["text only", "kindred"]
    assert table(benchmark, found) in printed
    assert found["kindred"]["captions"]["recall@10"] == 1.0
    assert "2 concepts" in printed
