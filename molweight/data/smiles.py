"""From a string to a molecule and back to the one spelling that the project uses."""

from __future__ import annotations

import re
import unicodedata

from rdkit import Chem, rdBase

from molweight.errors import NO_SMILES

LONGEST = 5_000  # characters; ten for each of the most atoms that are drawn
HEAVIEST = 500  # heavy atoms (the largest drug in SIDER has 492); laying out 1,000 takes seconds
MOST_SPELLINGS = 10  # that are compared; those of RDKit 2026.9 that are no fixed point come back after two
ATOM_NUMBER = "_molweight_number"  # property of an atom: its place in the string, from 0
PARTS = re.compile(r"([^ \t]+)(?:[ \t]+(\|[^|]*\|))?[ \t]*(.*)", re.DOTALL)  # SMILES, CXSMILES, the rest
MARKS = set("@/\\:")  # of stereochemistry and atom maps
SHOWN = 40  # characters of what stands after a SMILES


class InvalidSmilesError(ValueError):
    """A string that is not a molecule; the message says why."""

    status = "invalid"


class UnsupportedMoleculeError(InvalidSmilesError):
    """Possibly a molecule, but too large to be one picture; the message says by how much."""

    status = "unsupported"


def advice(name: str) -> str:
    """What to add to the sentence on a file that is not there, if its name is a molecule; else nothing."""
    return f". {NO_SMILES}" if is_molecule(name) else ""


def is_molecule(text: str) -> bool:
    """Whether a string is a SMILES, perhaps of a molecule that is too large to be drawn.

    >>> is_molecule("CCO"), is_molecule("esol.csv")
    (True, False)
    """
    try:
        parse(text)
    except UnsupportedMoleculeError:
        return len(text) <= LONGEST  # a longer one was not looked at
    except InvalidSmilesError:
        return False
    return True


def parse(smiles: object, *, numbered: bool = False) -> Chem.Mol:
    """The sanitised molecule that a SMILES string spells, without atom-map numbers.

    They are removed before anything else is looked at: they decide neither what is a stereocentre nor whether
    an explicit hydrogen stays.

    Args:
        smiles: what stood in the cell; anything but a non-empty string is invalid. After white space CXSMILES
            (``|…|``) may follow and nothing else.
        numbered: give every atom its place in the string as :data:`ATOM_NUMBER`.

    Raises:
        InvalidSmilesError: empty, not a string, not a SMILES, followed by something else, or chemically
            impossible.
        UnsupportedMoleculeError: longer than 5,000 characters, or of more than 500 heavy atoms.

    >>> parse("Oc1ccccc1").GetNumAtoms()
    7
    >>> parse("CCO ethanol")
    Traceback (most recent call last):
    molweight.data.smiles.InvalidSmilesError: 'ethanol' after the SMILES is no CXSMILES ...
    """
    text = _checked(smiles)
    with rdBase.BlockLogs():
        mol = Chem.MolFromSmiles(text, sanitize=False)
        if mol is None:
            raise InvalidSmilesError("not a SMILES string")
        if numbered:
            for atom in mol.GetAtoms():
                atom.SetIntProp(ATOM_NUMBER, atom.GetIdx())
        if ":" in text:  # else there is none
            _remove_atom_maps(mol)
        if mol.GetNumConformers():  # from three-dimensional ones RDKit would make stereocentres
            marked = Chem.MolFromSmiles(text.partition(" ")[0], sanitize=False)
            for atom, mark in zip(mol.GetAtoms(), marked.GetAtoms(), strict=True):
                atom.SetChiralTag(mark.GetChiralTag())
        try:
            Chem.SanitizeMol(mol)
        except Exception as error:  # RDKit raises several unrelated classes here
            reason = str(error).strip().splitlines()[0] if str(error).strip() else "cannot be sanitised"
            raise InvalidSmilesError(reason) from None
        Chem.AssignStereochemistry(mol, cleanIt=True, force=True)
        if mol.GetNumHeavyAtoms() < mol.GetNumAtoms():  # it costs a quarter of the time
            mol = Chem.RemoveHs(mol)
    if mol.GetNumAtoms() == 0:
        raise InvalidSmilesError("no atoms")
    if mol.GetNumHeavyAtoms() > HEAVIEST:
        raise UnsupportedMoleculeError(
            f"{mol.GetNumHeavyAtoms():,} heavy atoms, at most {HEAVIEST:,} are drawn"
        )
    return mol


def split_name(line: str) -> tuple[str, str]:
    """The SMILES of a line, with its CXSMILES if it has one, and the name that follows after white space.

    What may belong to the SMILES is no name: the whole line is then the SMILES, and :func:`parse` refuses it.

    >>> split_name("CC(=O)O acetic acid")
    ('CC(=O)O', 'acetic acid')
    """
    smiles, annotation, name = _parts(line.strip())
    if name.startswith("|") or _goes_on(smiles, name):
        return line.strip(), ""
    return f"{smiles} {annotation}".strip(), name


def canonical(smiles: object) -> str:
    """The one spelling of a molecule: RDKit's canonical isomeric SMILES without atom-map numbers.

    A picture depends on how a SMILES is spelled, so everything downstream sees this spelling. It is a fixed
    point: ``canonical(canonical(smiles)) == canonical(smiles)``.

    Raises:
        InvalidSmilesError: as :func:`parse`.

    >>> canonical("OCC"), canonical("[CH3:1][OH:2]")
    ('CCO', 'CO')
    >>> canonical("C1CC")
    Traceback (most recent call last):
    molweight.data.smiles.InvalidSmilesError: not a SMILES string
    """
    return _fixed_point(parse(smiles))


def canonical_of(mol: Chem.Mol) -> str:
    """The same of a molecule that was not read from a SMILES; it is left as it is.

    Raises:
        InvalidSmilesError: RDKit cannot read the SMILES that it writes.
    """
    mol = Chem.Mol(mol)
    _remove_atom_maps(mol)
    return _fixed_point(mol)


def smiles_of(mol: Chem.Mol) -> str:
    """A SMILES that spells just this molecule, which was read from something else.

    What RDKit writes of a symmetric cage may spell a stereoisomer; errors as of :func:`canonical_of`.
    """
    smiles = str(Chem.MolToSmiles(mol))
    return canonical_of(mol) if MARKS & set(smiles) else smiles


def _fixed_point(mol: Chem.Mol) -> str:
    """What RDKit writes of a molecule, read and written until it no longer changes.

    RDKit writes some symmetric rings and cages in two ways in turn. Of such a cycle the smallest one counts
    that spells the same molecule: where the two are stereoisomers, InChIKeys tell them apart.
    """
    spellings = [str(Chem.MolToSmiles(mol))]
    while len(spellings) <= MOST_SPELLINGS:
        try:
            again = str(Chem.MolToSmiles(parse(spellings[-1])))
        except InvalidSmilesError as error:
            raise InvalidSmilesError(f"RDKit cannot read its own SMILES {spellings[-1]}: {error}") from error
        if again == spellings[-1]:
            return again
        if again in spellings:
            break
        spellings.append(again)
    cycle = spellings[spellings.index(again) :]
    key = _inchi_key(mol)
    return min([spelling for spelling in cycle if _inchi_key(parse(spelling)) == key] or cycle)


def _inchi_key(mol: Chem.Mol) -> str:
    """The InChIKey of a molecule, empty for what has none."""
    with rdBase.BlockLogs():
        try:
            return str(Chem.MolToInchiKey(mol))  # type: ignore[no-untyped-call]
        except ValueError:  # it cannot be kekulised
            return ""


def _remove_atom_maps(mol: Chem.Mol) -> None:
    for atom in mol.GetAtoms():
        atom.SetAtomMapNum(0)


def _checked(smiles: object) -> str:
    """A string that may be a SMILES, or an error that says why it is none."""
    if not isinstance(smiles, str) or not smiles.strip():
        raise InvalidSmilesError("empty")
    text = smiles.strip().replace("\t", " ")
    if len(text) > LONGEST:
        raise UnsupportedMoleculeError(f"{len(text):,} characters, at most {LONGEST:,} are read")
    if not text.isprintable():
        hidden = next(character for character in text if not character.isprintable())
        name = unicodedata.name(hidden, "a control character").lower()
        raise InvalidSmilesError(f"holds U+{ord(hidden):04X}, {name}: remove it")
    structure, _, rest = _parts(text)
    if rest:
        shown = repr(rest if len(rest) <= SHOWN else f"{rest[:SHOWN]}…")
        why = "the SMILES is no CXSMILES (|…|):"
        if _goes_on(structure, rest):
            why = "the space may be a molecule, or the rest of this one: remove the space, or"
        raise InvalidSmilesError(f"{shown} after {why} put a name into a column of its own")
    return text


def _parts(text: str) -> tuple[str, str, str]:
    """SMILES, CXSMILES and what comes then, of a text without white space at its ends."""
    match = PARTS.fullmatch(text)
    return ("", "", text) if match is None else (match[1], match[2] or "", match[3])


def _goes_on(smiles: str, rest: str) -> bool:
    """Whether what stands after white space is a molecule, or makes one together with what is before it."""
    words = rest.split()
    return bool(words) and any(map(is_molecule, (words[0], smiles + words[0], smiles + "".join(words))))


def flat(smiles: str) -> str:
    """The canonical SMILES of a valid one without stereochemistry: the same for all stereoisomers.

    >>> flat("C[C@H](N)C(=O)O")
    'CC(N)C(=O)O'
    """
    with rdBase.BlockLogs():
        return str(Chem.MolToSmiles(Chem.MolFromSmiles(smiles), isomericSmiles=False))
