"""Group G: folders of the hub's cache, as users copy them with a file manager."""

from .sample import Sample

COMMITS = ["0123456789abcdef0123456789abcdef01234567", "89abcdef0123456789abcdef0123456789abcdef"]
BASE = '{ path = "models--o--m" }'


def caches(corpus):
    """Writes small files in place of the links that the cache has in snapshots."""
    sample = Sample()

    def write(name, commits, main=None):
        folder = corpus.start(name, base=BASE)
        cache = folder / "models--o--m"
        for commit in commits:
            sample.write(cache / "snapshots" / commit)
        if main:
            (cache / "refs").mkdir()
            (cache / "refs/main").write_text(main)

    def expect(name, about):
        corpus.expect(name, about, sample.model, sample.vocabulary, ends=sample.ends)

    write("cache-folder", COMMITS[:1], COMMITS[0])
    expect("cache-folder", "A folder models--o--m of the hub's cache, with refs/main and one snapshot.")
    write("cache-folder-one-snapshot", COMMITS[:1])
    expect("cache-folder-one-snapshot", "The same without refs, as hf download --revision COMMIT leaves it.")
    write("cache-folder-two-snapshots", COMMITS, COMMITS[1])
    expect("cache-folder-two-snapshots", "Two snapshots, refs/main names one of them.")
    write("cache-folder-undecided", COMMITS)
    corpus.fault("cache-folder-undecided", "Two snapshots and no refs/main, so it is not clear which one is meant.", ["snapshots"])
