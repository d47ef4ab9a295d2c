"""Files are taken nowhere but on the pages that say so, and there into memory, within bounds."""

import io
from typing import Any, Final

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadedfile import InMemoryUploadedFile
from django.core.files.uploadhandler import FileUploadHandler

FILES_MAX: Final = 20
BYTES_MAX: Final = 20 * 1024 * 1024


class NoUploads(FileUploadHandler):
    """Named by FILE_UPLOAD_HANDLERS: refuses the first file of a form before any of it is kept."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Raises RequestDataTooBig, which is a 400."""
        raise RequestDataTooBig("Nothing here takes a file.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Nothing is kept."""

    def file_complete(self, file_size: int) -> None:
        """Nothing was kept."""


class FewUploads(FileUploadHandler):
    """Of a page that takes files: at most 20, together at most 20 MiB, in memory and never on disk.

    Raises RequestDataTooBig for more, as soon as there is more.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._files = self._bytes = 0
        self._content = io.BytesIO()

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        super().new_file(*args, **kwargs)
        self._files += 1
        self._content = io.BytesIO()
        if self._files > FILES_MAX:
            raise RequestDataTooBig(f"At most {FILES_MAX} files are taken at once.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        self._bytes += len(raw_data)
        if self._bytes > BYTES_MAX:
            raise RequestDataTooBig("The files are too large together.")
        self._content.write(raw_data)

    def file_complete(self, file_size: int) -> InMemoryUploadedFile:
        self._content.seek(0)
        return InMemoryUploadedFile(
            file=self._content,
            field_name=self.field_name,
            name=self.file_name,
            content_type=self.content_type,
            size=file_size,
            charset=self.charset,
            content_type_extra=self.content_type_extra,
        )
