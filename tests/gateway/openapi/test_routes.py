"""Where the description is found, and that it opens nothing else."""

import pytest

PAGES = {
    "/api/openapi.json": "application/json",
    "/api/docs": "text/html; charset=utf-8",
    "/api/docs/docs.css": "text/css; charset=utf-8",
    "/api/docs/docs.js": "text/javascript; charset=utf-8",
    "/api/docs/schema.js": "text/javascript; charset=utf-8",
}


@pytest.mark.parametrize(("path", "content_type"), PAGES.items())
async def test_the_description_needs_no_key(described, path, content_type):
    response = await described.http.get(path)
    assert response.status_code == 200
    assert response.headers["content-type"] == content_type
    assert response.headers["x-content-type-options"] == "nosniff"
    assert response.content


@pytest.mark.parametrize("path", [path for path in PAGES if "docs" in path])
async def test_the_page_may_load_only_its_own(described, path):
    policy = (await described.http.get(path)).headers["content-security-policy"]
    assert policy.startswith("default-src 'none'; script-src 'self'; style-src 'self';")
    assert "unsafe" not in policy
    assert "frame-ancestors 'none'" in policy


async def test_the_page_names_nothing_outside(described):
    for path in PAGES:
        text = (await described.http.get(path)).text.replace("http://www.w3.org/2000/svg", "")
        if "docs" in path:
            assert "http://" not in text
            assert "https://" not in text
            assert "innerHTML" not in text


@pytest.mark.parametrize("path", PAGES)
async def test_a_page_is_only_read(described, path):
    assert (await described.http.post(path, content=b"{}")).status_code == 405
    assert (await described.http.head(path)).status_code == 200


@pytest.mark.parametrize("path", ["/api/docs/", "/api/docs/docs.html", "/api/openapi", "/api/doc"])
async def test_paths_beside_it_are_unknown_methods(described, path):
    response = await described.http.get(path)
    assert (response.status_code, response.text) == (404, "no such method\n")


async def test_methods_keep_their_order_of_refusals(described):
    assert (await described.http.get("/api/info")).status_code == 405
    assert (await described.http.post("/api/info", json={})).status_code == 401
    assert (await described.http.post("/api/nothing", json={})).status_code == 404
