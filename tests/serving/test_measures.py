"""What is counted, read by Prometheus' own parser."""

import numpy as np
import pytest
from asgi import Client, form
from lights import png, predictor
from prometheus_client.parser import text_string_to_metric_families

from imgcls.serving import create_app
from imgcls.serving._measures import TEXT, Histogram


def parsed(text):
    """Return {name: {labels: value}} of all samples, and {name: type} of the families."""
    families = list(text_string_to_metric_families(text))
    samples = {}
    for family in families:
        for sample in family.samples:
            samples.setdefault(sample.name, {})[tuple(sorted(sample.labels.items()))] = sample.value
    return samples, {family.name: family.type for family in families}


def test_prometheus_reads_what_was_counted():
    with Client(create_app(predictor())) as client:
        client.warm()
        for _ in range(3):
            client.predict(png(0))
        client.predict(b"no image")
        body, kind = form(("a.png", png(0)), ("b.png", b"no image"), ("c.png", png(255)))
        client.predict(body, kind)
        client.ask("GET", '/a"path\\with\nmarks')
        answer = client.ask("GET", "/metrics")
    assert answer.headers["content-type"] == TEXT == "text/plain; version=0.0.4; charset=utf-8"
    samples, types = parsed(answer.body.decode())
    requests = samples["imgcls_requests_total"]
    assert requests[("path", "/predict"), ("status", "200")] == 4
    assert requests[("path", "/predict"), ("status", "422")] == 1
    assert requests[("path", "other"), ("status", "404")] == 1
    assert samples["imgcls_images_total"][()] == 5
    assert samples["imgcls_images_refused_total"][()] == 2
    assert samples["imgcls_batch_images_sum"][()] == 5
    assert samples["imgcls_predict_seconds_count"][()] == 4
    assert 0 < samples["imgcls_predict_seconds_sum"][()] < 4
    assert samples["imgcls_queue_images"][()] == 0
    assert samples["imgcls_ready"][()] == 1
    assert types == {
        "imgcls_requests": "counter",
        "imgcls_predict_seconds": "histogram",
        "imgcls_images": "counter",
        "imgcls_images_refused": "counter",
        "imgcls_batch_images": "histogram",
        "imgcls_queue_images": "gauge",
        "imgcls_ready": "gauge",
    }


def test_a_histogram_counts_as_numpy_does():
    random = np.random.default_rng(0)
    values = np.concatenate([random.exponential(1.0, 500), [0.5, 1.0, 2.0]])  # also what lies on a bound
    histogram = Histogram("seconds", "Meaning.", (0.5, 1.0, 2.0))
    for value in values:
        histogram.observe(float(value))
    samples, _ = parsed("\n".join(histogram.lines()) + "\n")
    found = {dict(labels)["le"]: count for labels, count in samples["seconds_bucket"].items()}
    assert found == {
        **{str(bound): np.count_nonzero(values <= bound) for bound in (0.5, 1.0, 2.0)},
        "+Inf": len(values),
    }
    assert samples["seconds_sum"][()] == pytest.approx(values.sum())


def test_what_never_happened_is_told_as_zero():
    with Client(create_app(predictor())) as client:
        samples, _ = parsed(client.ask("GET", "/metrics").body.decode())
    assert samples["imgcls_images_total"][()] == 0
    assert samples["imgcls_images_refused_total"][()] == 0
    assert samples["imgcls_batch_images_count"][()] == 0
