"""The data sets that autorf itself has. Light to import, without torch."""

from autorf.data.class_spec import AircraftData, DigitClassesData, ImageFolderData, ImageNetData, StanfordCarsData
from autorf.data.face_spec import HelenData, LfwData
from autorf.data.python_data import PythonClassData, PythonData
from autorf.data.scene_spec import Ade20kData, CityscapesData, VocData
from autorf.data.spec import CamVidData, DigitsData, FassegData, FolderData

BuiltIn = (
    DigitsData
    | FolderData
    | CamVidData
    | FassegData
    | HelenData
    | LfwData
    | VocData
    | CityscapesData
    | Ade20kData
    | PythonData
    | DigitClassesData
    | ImageFolderData
    | ImageNetData
    | StanfordCarsData
    | AircraftData
    | PythonClassData
)
"""Any of them."""
