"""Hands setuptools what settings.ini says: version, requirements and commands."""
from configparser import ConfigParser
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
parser = ConfigParser(delimiters=["="])
parser.read(ROOT / "settings.ini", encoding="utf-8")
settings = parser["DEFAULT"]

setup(
    name=settings["lib_name"],
    version=settings["version"],
    description=settings["description"],
    keywords=settings["keywords"].split(),
    author=settings["author"],
    license=settings["license"],
    license_files=["LICENSE"],
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    classifiers=[
        f"Programming Language :: Python :: {version}"
        for version in settings["python_versions"].split()
    ],
    python_requires=f">={settings['min_python']}",
    packages=find_packages(include=[f"{settings['lib_name']}*"]),
    install_requires=settings["requirements"].split(),
    extras_require={
        "dev": settings["dev_requirements"].split(),
        "export": settings["export_requirements"].split(),
        "bench": settings["bench_requirements"].split(),
    },
    entry_points={"console_scripts": settings["console_scripts"].split()},
)
