"""The forms of knowledge: documents handed over on a page, and folders to be watched."""

from typing import Any, ClassVar, Final

from django import forms
from django.core.files.uploadedfile import UploadedFile
from django.db.models import QuerySet

from apps.common.errors import AikaError
from apps.common.uploads import FILES_MAX
from apps.lessons.models import KnowledgeSource
from apps.lessons.services import knowledge, knowledge_sources
from apps.lessons.services.knowledge import Ingested, Item
from apps.lessons.services.knowledge_items import item_of
from apps.lessons.services.reading import ENDINGS, Source, media_type_of
from apps.lessons.types import MediaType

PASTED_CHARS_MAX: Final = 200_000
EVERYBODY: Final = "Everybody"


class _FileInput(forms.ClearableFileInput):
    allow_multiple_selected = True


class _Files(forms.FileField):
    """Any number of files; the value is a list."""

    widget = _FileInput

    def clean(self, data: Any, initial: Any = None) -> Any:
        single = super().clean
        return [single(one, initial) for one in data] if isinstance(data, list) else []


class UploadForm(forms.Form):
    """Files, or a text with a title, for a desk; who may, for everybody."""

    desk: Any = forms.ModelChoiceField(queryset=None, required=False, empty_label=EVERYBODY, label="Whose it is")
    documents = _Files(
        required=False,
        widget=_FileInput(attrs={"accept": ",".join(ENDINGS)}),
        help_text=f"Text, Markdown, HTML or PDF, at most {FILES_MAX} files. A file of the same name takes the place of "
        "the one before, as a new version.",
    )
    title = forms.CharField(required=False, max_length=300, label="Title of a pasted text")
    text = forms.CharField(
        required=False,
        max_length=PASTED_CHARS_MAX,
        label="Pasted text",
        widget=forms.Textarea(attrs={"rows": 8, "autocomplete": "off"}),
        help_text="Markdown: a line that begins with # is a heading, and pieces are cut there.",
    )

    def __init__(self, *args: Any, desks: QuerySet[Any], for_everybody: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        desk = self.fields["desk"]
        desk.queryset = desks  # type: ignore[attr-defined]  # a choice of rows
        desk.required = not for_everybody
        if not for_everybody:
            desk.empty_label = None  # type: ignore[attr-defined]  # as above

    def clean(self) -> dict[str, Any]:
        cleaned: dict[str, Any] = super().clean() or {}
        if bool(cleaned.get("text", "").strip()) != bool(cleaned.get("title", "").strip()):
            self.add_error("title", "A pasted text has a title, and a title its text.")
        elif not cleaned.get("text", "").strip() and not cleaned.get("documents"):
            self.add_error(None, "Choose a file, or paste a text.")
        return cleaned

    @property
    def items(self) -> list[Item | Ingested]:
        """What was handed over, where it is valid."""
        found = [_of_file(one) for one in self.cleaned_data["documents"]]
        if self.cleaned_data["text"].strip():
            title = self.cleaned_data["title"].strip()
            pasted = item_of(
                id=f"pasted:{title}", title=title, text=self.cleaned_data["text"], media_type=MediaType.MARKDOWN
            )
            found.append(pasted)
        return found


class SourceForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in its stubs only
    """A folder of KNOWLEDGE_ROOT that is looked at by the clock."""

    class Meta:
        model = KnowledgeSource
        fields: ClassVar = ("path", "desk", "prune", "enabled")
        help_texts: ClassVar = {
            "path": "A file or folder in KNOWLEDGE_ROOT, such as playbooks. No link is followed.",
            "desk": "Whose knowledge it is. Empty: everybody's.",
        }

    def clean_path(self) -> str:
        """The path as it is kept."""
        try:
            return knowledge_sources.checked_path(self.cleaned_data["path"])
        except AikaError as error:
            raise forms.ValidationError(f"{error.message} {error.fix}".strip()) from None


def _of_file(file: "UploadedFile[Any]") -> Item | Ingested:
    """A file under its own name: what it is said to be by the browser is not asked."""
    name = str(file.name or "file")
    try:
        kind = media_type_of(name)
    except AikaError as error:
        return knowledge.refused(f"upload:{name}", error)
    return Item(id=f"upload:{name}", source=Source(raw=file.read(), media_type=kind))
