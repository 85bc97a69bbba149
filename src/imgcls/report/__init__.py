"""Reports: facts and pictures in, text out. A page is one file, and nothing in it is fetched from elsewhere."""

from imgcls.report._evaluation import evaluation_page, model_card
from imgcls.report._file import check_path, write
from imgcls.report._page import data_page

__all__ = ["check_path", "data_page", "evaluation_page", "model_card", "write"]
