"""Files are not taken anywhere."""

from typing import Any

from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler


class NoUploads(FileUploadHandler):
    """Named by FILE_UPLOAD_HANDLERS: refuses the first file of a form before any of it is kept."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Raises RequestDataTooBig, which is a 400."""
        raise RequestDataTooBig("Nothing here takes a file.")

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Nothing is kept."""

    def file_complete(self, file_size: int) -> None:
        """Nothing was kept."""
