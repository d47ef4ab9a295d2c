"""What is remembered: how texts become vectors, where documents lie, who is shown lessons."""

from config.env import env

EMBEDDINGS_PROVIDERS = frozenset({"hash", "static", "sentence_transformers"})
EMBEDDINGS_PROVIDER = env.choice("EMBEDDINGS_PROVIDER", default="hash", choices=EMBEDDINGS_PROVIDERS)
EMBEDDINGS_MODEL = env.text("EMBEDDINGS_MODEL")
# Watched sources of knowledge lie in it, and nothing else of this machine is read by the clock. Empty: there are none.
KNOWLEDGE_ROOT = env.text("KNOWLEDGE_ROOT")
# Percent of proposals that are shown no lessons, drawn by their ids: the only way to know whether lessons help.
LESSONS_HOLDOUT_SHARE = env.integer("LESSONS_HOLDOUT_SHARE", default=0, minimum=0, maximum=50)
