# Copyright 2026 the contributors of cem_planner_ros
# SPDX-License-Identifier: Apache-2.0
"""Opens MJCF and URDF files: names of files within them, and meshes that are missing."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import unquote, urlsplit
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

import numpy as np

from cem_planner_ros.errors import ConfigurationError
from cem_planner_ros.paths import URI, find, is_in_package

if TYPE_CHECKING:
    import mujoco

XACRO = "{http://www.ros.org/wiki/xacro}"
"""The namespace of what xacro makes URDF of."""

LEAVE_OUT = (
    "leave out what only collides by dynamics.allow_missing_meshes, in `init` by "
    "--allow-missing-meshes"
)

READABLE = (".stl", ".obj", ".msh")
"""Kinds of meshes that MuJoCo reads."""

FOLDERS = {"mesh": "meshdir", "skin": "meshdir", "hfield": "meshdir", "texture": "texturedir"}
"""{element with a file: attribute of <compiler> with the folder of the file}."""


def parse(file: Path) -> mujoco.MjSpec:
    """
    Return an MJCF or URDF file, not yet compiled.

    Links of a URDF at fixed joints stay bodies, unless its <compiler> has fusestatic="true". Meshes
    of a URDF may be package://PACKAGE/PATH, model://PACKAGE/PATH or file:///PATH, also of one that
    an MJCF file attaches. An MJCF file may have, include and attach such files too, or MODULE:PATH
    of a Python package; meshes and textures are then where the included file has them. Raises
    ConfigurationError, naming the file, if one that is included does not exist or if the file is no
    URDF yet, and ValueError if MuJoCo cannot read it.
    """
    import mujoco

    try:
        text, attached = _with_paths(file)
    except ConfigurationError as error:
        raise ConfigurationError(f"file '{file}': {error}") from error
    if not text:
        return mujoco.MjSpec.from_file(str(file))
    spec = mujoco.MjSpec.from_string(text, include=attached)
    spec.modelfiledir = str(file.resolve().parent)
    return spec


def _with_paths(file: Path) -> tuple[str, dict[str, bytes]]:
    """
    Return the text of a file with paths in place of names; "" if it has no such names.

    Beside it are the texts of files that are attached and have such names too, by their paths.
    """
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError):
        return "", {}  # MuJoCo says what is wrong.
    if root.tag == "robot":
        _check_urdf(root, file)
        _urdf_with_paths(root, file.parent)
        _compiler(root).attrib.setdefault("fusestatic", "false")
        return ElementTree.tostring(root, encoding="unicode"), {}
    attached = _attached(root, file.parent)
    assets = [part for tag in FOLDERS for part in root.iter(tag)]
    assets = [part for part in assets if is_in_package(part.get("file", ""))]
    names = [part.get("file", "") for part in root.iter("include")]
    if not assets and not attached and not any(map(is_in_package, names)):
        return "", {}
    for part in assets:
        part.set("file", _path(part.get("file", "")))
    for parent, place, part in _includes(root):
        name = part.get("file", "")
        if is_in_package(name):
            parent[place : place + 1] = _included(find(name))
        else:
            part.set("file", str((file.parent / name).resolve()))
    texts = {path: text.encode() for path, text in attached.items() if text}
    return ElementTree.tostring(root, encoding="unicode"), texts


def _attached(root: Element, folder: Path) -> dict[str, str]:
    """
    Return the texts of URDF files that a file in a folder attaches, with paths, by their own paths.

    A text is "" if nothing has to be done for it but to put the path in the place of its name.
    """
    found = {}
    for part in root.iter("model"):
        name = part.get("file", "")
        file = (find(name) if is_in_package(name) else folder / name).resolve()
        try:
            inner, text = ElementTree.parse(file).getroot(), ""
            if inner.tag == "robot":
                _check_urdf(inner, file)
                if _urdf_with_paths(inner, file.parent):
                    text = ElementTree.tostring(inner, encoding="unicode")
        except (ElementTree.ParseError, OSError):
            continue  # MuJoCo says what is wrong.
        except ConfigurationError as error:
            raise ConfigurationError(f"attached '{name}': {error}") from error
        if text or is_in_package(name):
            part.set("file", str(file))
            found[str(file)] = text
    return found


def _check_urdf(root: Element, file: Path) -> None:
    """Raise ConfigurationError if a URDF has to be made of it first, or names a joint twice."""
    texts = [text for part in root.iter() for text in (part.tag, *part.attrib.values())]
    if any(text.startswith(XACRO) or "$(" in text or "${" in text for text in texts):
        target = "robot.urdf" if file.name != "robot.urdf" else "expanded.urdf"
        raise ConfigurationError(
            f"it is a xacro file, expected URDF: run `xacro {file.name} > {target}` first"
        )
    names = [joint.get("name") for joint in root.iterfind("joint")]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise ConfigurationError(f"it has two joints called '{twice}', expected different names")


def _urdf_with_paths(root: Element, folder: Path) -> bool:
    """Put paths in place of names of meshes; return whether there are such names."""
    meshes = [mesh for mesh in root.iter("mesh") if mesh.get("filename")]
    if not any("://" in mesh.get("filename", "") for mesh in meshes):
        return False
    for mesh in meshes:
        name = mesh.get("filename", "")
        if name.startswith("file://"):
            name = unquote(urlsplit(name).path)
        mesh.set("filename", _path(name) if URI.match(name) else str((folder / name).resolve()))
    # MuJoCo would only keep the last part of each path.
    _compiler(root).set("strippath", "false")
    return True


def _compiler(root: Element) -> Element:
    """Return MuJoCo's <compiler> of a URDF, added if there is none."""
    extension = root.find("mujoco")
    if extension is None:
        extension = ElementTree.SubElement(root, "mujoco")
    compiler = extension.find("compiler")
    return ElementTree.SubElement(extension, "compiler") if compiler is None else compiler


def _path(name: str) -> str:
    """Return the path of a mesh or texture of a package; its name if it is missing."""
    with contextlib.suppress(ConfigurationError):
        return str(find(name).resolve())
    return name


def _includes(root: Element) -> Iterator[tuple[Element, int, Element]]:
    """Yield parent, place and element of each <include>; the last ones of a parent first."""
    for parent in list(root.iter()):
        for place, part in reversed(list(enumerate(parent))):
            if part.tag == "include":
                yield parent, place, part


def _included(file: Path) -> list[Element]:
    """Return the elements of a file and of what it includes; their files as full paths."""
    try:
        root = ElementTree.parse(file).getroot()
    except (ElementTree.ParseError, OSError) as error:
        raise ConfigurationError(f"'{file}' cannot be included: {error}") from error
    for parent, place, part in _includes(root):
        name = part.get("file", "")
        inside = find(name) if is_in_package(name) else file.parent / name
        parent[place : place + 1] = _included(inside)
    folders: dict[str, str] = {}
    for compiler in root.iter("compiler"):
        both = compiler.attrib.pop("assetdir", "")
        for key in ("meshdir", "texturedir"):
            folders[key] = compiler.attrib.pop(key, both) or folders.get(key, "")
    for part in root.iter():
        for key, name in part.attrib.items() if part.tag in FOLDERS else ():
            if key.startswith("file") and name:
                part.set(key, str(file.parent / folders.get(FOLDERS[part.tag], "") / name))
    return list(root)


@dataclass(frozen=True)
class Missing:
    """
    What a model does without because files are missing.

    Attributes:
        files: names of the meshes and textures.
        bodies: names of bodies that lack a mesh with which they would collide.
    """

    files: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()


def missing(file: Path, allow_meshes: bool = False) -> Missing:
    """Return what `drop_missing` leaves out of a file."""
    return drop_missing(parse(file), file, allow_meshes)


def drop_missing(spec: mujoco.MjSpec, file: Path, allow_meshes: bool = False) -> Missing:
    """
    Delete geoms and textures whose files are missing, or unreadable, and only show something.

    Packages often leave out such files because they are large. Geoms that collide are deleted only
    if `allow_meshes`, and geoms that give a body its inertia are never deleted: MuJoCo then says
    which file is missing. Raises ConfigurationError if one is missing since its package is.
    """
    folder = Path(spec.modelfiledir or file.parent)

    def lacks(asset: Any, place: str) -> bool:
        return bool(asset.file) and not (folder / place / asset.file).is_file()

    def is_unreadable(mesh: Any) -> bool:
        is_named = bool(mesh.file) and not mesh.content_type
        return is_named and Path(mesh.file).suffix.lower() not in READABLE

    meshes = {
        mesh.name: mesh for mesh in spec.meshes if lacks(mesh, spec.meshdir) or is_unreadable(mesh)
    }
    bodies: dict[str, None] = {}
    for geom in list(spec.geoms) if meshes else ():
        collides = bool(geom.contype or geom.conaffinity)
        if geom.meshname in meshes and (allow_meshes or not collides) and not _gives_inertia(geom):
            if collides:
                bodies[geom.parent.name] = None
            spec.delete(geom)
    used = {geom.meshname for geom in spec.geoms}
    dropped: list[Any] = [mesh for name, mesh in meshes.items() if name not in used]
    textures = [texture for texture in spec.textures if lacks(texture, spec.texturedir)]
    names = {texture.name for texture in textures}
    for material in spec.materials if names else ():
        material.textures = ["" if name in names else name for name in material.textures]
    files = tuple(asset.file for asset in (*dropped, *textures))
    for asset in (*dropped, *textures):
        spec.delete(asset)
    for mesh in spec.meshes:
        try:
            if is_in_package(mesh.file):
                find(mesh.file)
        except ConfigurationError as error:
            hint = "" if allow_meshes else f"; or {LEAVE_OUT}"
            raise ConfigurationError(f"file '{file}': {error}{hint}") from error
    return Missing(files, tuple(bodies))


def _gives_inertia(geom: Any) -> bool:
    """Return whether a body that moves has mass of a geom."""
    has_mass = geom.density > 0.0 if np.isnan(geom.mass) else geom.mass > 0.0
    body, moves = geom.parent, False
    if not has_mass or body.explicitinertial:
        return False
    while body is not None:
        moves |= bool(body.joints)
        body = body.parent
    return moves
