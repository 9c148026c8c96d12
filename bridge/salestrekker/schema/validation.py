"""One query document against the live schema: everything that does not fit, and what to write instead. Pure.

::

    level(selection, type) ── each field: there? ──yes──> its arguments, then the level below
                                            │ no
                                            ├─ renamed:  firstName: givenName      (an alias: maps stay good)
                                            ├─ moved:    name { firstName: first }
                                            └─ nothing similar: removed

The check goes on below a field that was guessed, so that one run lists everything that has to change.
graphql-core's own validation covers what no rule here knows.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from graphql import (
    DocumentNode,
    FieldNode,
    FragmentSpreadNode,
    InlineFragmentNode,
    VariableNode,
    get_named_type,
    is_composite_type,
    is_leaf_type,
    is_required_argument,
    parse,
    print_ast,
    validate,
)

from bridge.errors import QueryFileError
from bridge.salestrekker.by_id_query import parse_by_id_query
from bridge.salestrekker.record_path import find_record_path, response_key
from bridge.salestrekker.schema.by_id_rewrite import build_by_id_query, find_record, is_given_elsewhere
from bridge.salestrekker.schema.corrections import (
    QueryMismatch,
    SourceLocation,
    aliased_field,
    apply_edits,
    location_of,
    match_moved_fields,
    merged_selection,
    nested_selection,
    rename_edit,
    replace_edit,
)
from bridge.salestrekker.schema.list_rewrite import build_list_query, find_list, find_list_problem
from bridge.salestrekker.schema.similar_fields import (
    LIKELY,
    ROOT_LIKELY,
    MergedUnion,
    ObjectType,
    best_match,
    is_list,
    likeness,
    nearest,
    object_type,
    possible_types,
    rate_object_field,
)
from bridge.salestrekker.schema.union_validation import find_unselected_types

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from graphql import (
        ArgumentNode,
        FragmentDefinitionNode,
        GraphQLField,
        GraphQLSchema,
        SelectionSetNode,
    )

    from bridge.salestrekker.by_id_query import ByIdQuery
    from bridge.salestrekker.query_files import QueryDocument
    from bridge.salestrekker.record_path import RecordPath
    from bridge.salestrekker.schema.corrections import Edit, Taken
    from bridge.salestrekker.schema.entry_points import SchemaRecord
    from bridge.salestrekker.schema.introspection import LiveSchema
    from bridge.salestrekker.schema.similar_fields import ObjectType

__all__ = ["FieldCheck", "find_mismatches", "graphql_core_mismatches"]

SURE: Final = 0.7
"""One field as similar as this, below a field that is gone, is enough to take its place."""

LISTED: Final = 12
"""Maximum number of a type's fields that are named if none is like the wanted one."""

STATUS: Final = frozenset(
    {"status", "state", "archived", "isarchived", "deleted", "isdeleted", "inactive", "isinactive"}
)
"""What a schema may have in place of `isActive`. None of them means the same by its value."""

NOT_OFFERED: Final = ("broker", "serviceability", "calculator", "asset", "vehicle", "equipment", "chattel")
"""Words of what the vendor says is not in the API: "Broker tools and Asset Finance tools"."""


class FieldCheck:
    """Collects what does not fit in one document.

    Args:
        schema: The schema.
        document: The query with its fragments.

    Attributes:
        schema: The schema.
        mismatches: What was found, in that order.
    """

    def __init__(self, schema: GraphQLSchema, document: QueryDocument) -> None:
        self.schema = schema
        self._document = document
        self._spread: dict[str, ObjectType] = {}
        self.mismatches: list[QueryMismatch] = []

    def level(self, selections: SelectionSetNode | None, parent: ObjectType, *, single: bool = False) -> int:
        """Check the fields selected on a type, and everything below them.

        Args:
            selections: What is selected.
            parent: The type that it is selected on.
            single: Accept only fields that return one record: at the root of a query by id.

        Returns:
            How many of the fields remain.
        """
        again = self._spread_before(selections)
        opened = [
            (node, on)
            for node, on in self._opened(selections, parent)
            if not node.name.value.startswith("__")
        ]
        fields = [(node, on) for node, on in opened if not isinstance(on, MergedUnion)]
        self._bare_in_union([(node, on) for node, on in opened if isinstance(on, MergedUnion)])
        guesses = self.guess(fields, single=single)
        names = [node.name.value for node, _ in fields] + list(guesses.values())
        taken: Taken = {(name,): name for name in names}
        kept = [self._field(node, on, guesses.get(node.name.value, ""), taken) for node, on in fields]
        return again + sum(kept) + len(opened) - len(fields)

    def _bare_in_union(self, fields: Sequence[tuple[FieldNode, MergedUnion]]) -> None:
        """Report fields of a union that are not in an inline fragment."""
        for node, on in fields[:1]:
            members = ", ".join(f"`... on {member.name} {{ … }}`" for member in on.union.types)
            what = f"{on.name} can be one of several types: select its fields in {members}"
            self._add(node, what, ())

    def _spread_before(self, selections: SelectionSetNode | None) -> int:
        """How many of the fragments used here were checked elsewhere. They count as one field each."""
        nodes = selections.selections if selections else ()
        return sum(isinstance(node, FragmentSpreadNode) and node.name.value in self._spread for node in nodes)

    def _opened(
        self, selections: SelectionSetNode | None, parent: ObjectType
    ) -> Iterator[tuple[FieldNode, ObjectType]]:
        """The fields of one level with the type that each is selected on, including those in fragments."""
        for node in selections.selections if selections else ():
            if isinstance(node, FieldNode):
                yield node, parent
            elif isinstance(node, InlineFragmentNode):
                yield from self._opened(node.selection_set, self._condition(node, parent))
            elif isinstance(node, FragmentSpreadNode):
                fragment = self._document.fragments[node.name.value]
                if node.name.value in self._spread:
                    self._compare(node, parent)
                    continue
                on = self._spread[node.name.value] = self._condition(fragment, parent)
                yield from self._opened(fragment.selection_set, on)

    def _condition(self, node: FragmentDefinitionNode | InlineFragmentNode, parent: ObjectType) -> ObjectType:
        """The type that a fragment is on: its own if possible, otherwise the one in which it is used."""
        if node.type_condition is None:
            return parent
        name = node.type_condition.name.value
        own = self.schema.get_type(name)
        known = object_type(own) if own is not None and is_composite_type(own) else None
        if known and (known.name == parent.name or _overlap(self.schema, known, parent)):
            return known
        why = "is spread on" if own else "is no type of the schema; it is spread on"
        self._add(
            node.type_condition,
            f"`{name}` {why} {parent.name}",
            replace_edit(node.type_condition, parent.name),
        )
        return parent

    def _compare(self, node: FragmentSpreadNode, parent: ObjectType) -> None:
        before = self._spread[node.name.value]
        if before.name != parent.name and not _overlap(self.schema, before, parent):
            self._add(
                node,
                f"the fragment {node.name.value} is on {before.name} and cannot be spread on {parent.name}: "
                "select the fields here one by one",
                (),
            )

    def guess(self, fields: Sequence[tuple[FieldNode, ObjectType]], *, single: bool) -> dict[str, str]:
        """Missing field -> the most similar field of the same type. Each field is used once.

        Args:
            fields: The fields of one level, with the type that each is selected on.
            single: See ``level``.
        """
        present = {node.name.value for node, _ in fields}
        rated = sorted(
            (
                (self._rate(node, name, definition, single=single), node.name.value, name)
                for node, on in fields
                if node.name.value not in on.fields
                for name, definition in on.fields.items()
                if name not in present
            ),
            reverse=True,
        )
        guesses: dict[str, str] = {}
        least = ROOT_LIKELY if single else LIKELY
        for score, missing, name in rated:
            if score >= least and missing not in guesses and name not in guesses.values():
                guesses[missing] = name
        return guesses

    def _rate(self, node: FieldNode, name: str, definition: GraphQLField, *, single: bool) -> float:
        kind = object_type(definition.type)
        if node.selection_set is None:
            return likeness(node.name.value, name) if is_leaf_type(get_named_type(definition.type)) else 0.0
        if kind is None or (single and (is_list(definition.type) or not definition.args)):
            return 0.0
        return rate_object_field(node.name.value, name, kind, list(self._leaves(node)))

    def _field(self, node: FieldNode, parent: ObjectType, guess: str, taken: Taken) -> bool:
        """Check one field and what is below it. Returns whether it can stay.

        Args:
            node: The field.
            parent: The type that it is selected on.
            guess: The most similar field if the type has no such field, else empty text.
            taken: What of the type is read already. It grows.
        """
        name = node.name.value
        definition = parent.fields.get(name)
        if definition is None and guess:
            definition = parent.fields[guess]
            what = f"`{name}` is no field of {parent.name}; most like it is `{guess}`"
            self._add(node, what, rename_edit(node, guess))
        if definition is None:
            return self._moved(node, parent, taken)
        self._arguments(node, definition, guess or name)
        return self._below(node, definition)

    def _below(self, node: FieldNode, definition: GraphQLField) -> bool:
        inner = object_type(definition.type)
        if node.selection_set and is_leaf_type(get_named_type(definition.type)):
            what = f"`{node.name.value}` is a {definition.type}: nothing can be selected below it"
            self._add(node, what, replace_edit(node.selection_set, ""))
        elif inner is not None and node.selection_set is None:
            self._opens(node, inner)
        elif inner is not None and not self.level(node.selection_set, inner):
            self._add(node, f"nothing is left of `{node.name.value}`", replace_edit(node, ""))
            return False
        return True

    def _opens(self, node: FieldNode, inner: ObjectType) -> None:
        """Report a field that was a value and has become an object, of which fields must be selected."""
        found = best_match(inner, [node.name.value])
        leaves = [found.path] if found else [(name,) for name in inner.fields][:1]
        what = f"`{node.name.value}` is a {inner.name}: say which of its fields are wanted ({_names(inner)})"
        text = f"{_source(node)} {{ {' '.join(nested_selection(path) for path in leaves)} }}"
        self._add(node, what, replace_edit(node, text))

    def _moved(self, node: FieldNode, parent: ObjectType, taken: Taken) -> bool:
        """Look for a field that its type does not have under any name: elsewhere below, or nowhere."""
        name = node.name.value
        wanted = list(self._leaves(node)) if node.selection_set else [()]
        found = match_moved_fields(parent, [(name, *path) for path in wanted], taken)
        what = f"`{name}` is no field of {parent.name}"
        if len(found) * 2 >= len(wanted) or any(one.score >= SURE for one in found.values()):
            keys = {path: _free_key(path[-1], one.path, taken) for path, one in found.items()}
            taken.update((one.path, keys[path]) for path, one in found.items())
            where = ", ".join(sorted({".".join(one.path) for one in found.values()}))
            paths = [(*one.path[:-1], aliased_field(one.path[-1], keys[path])) for path, one in found.items()]
            text = merged_selection(paths, node)
            self._add(node, f"{what}; like it there is {where}", replace_edit(node, text))
            return True
        status = next((one for one in parent.fields if one.lower() in STATUS and (one,) not in taken), "")
        if "active" in name.lower() and status:
            taken[(status,)] = status
            self._add(
                node, f"{what}; it has `{status}`, which holds words instead", replace_edit(node, status)
            )
            return True
        nothing = f"{what}, and nothing there is like it (it has {_names(parent)})"
        self._add(node, f"{nothing}{_not_offered(node, parent)}", replace_edit(node, ""), offered=False)
        return False

    def _leaves(self, node: FieldNode) -> Iterator[tuple[str, ...]]:
        for field in self._document.fields(node.selection_set):
            if field.selection_set is None:
                yield (response_key(field),)
            else:
                yield from ((response_key(field), *path) for path in self._leaves(field))

    def _arguments(self, node: FieldNode, definition: GraphQLField, name: str) -> None:
        given = {argument.name.value for argument in node.arguments or ()}
        free = [known for known in definition.args if known not in given]
        for argument in node.arguments or ():
            known = definition.args.get(argument.name.value)
            if known is None:
                wanted = argument.name.value
                required = [one for one in free if is_required_argument(definition.args[one])]
                guess = nearest(wanted, free) or (required[0] if len(required) == 1 else "")
                self._unknown_argument(argument, name, guess, definition)
                known = definition.args.get(guess)
                free = [one for one in free if one != guess]
            if known is not None:
                self._variable(argument, str(known.type))
        for missing in (one for one in free if is_required_argument(definition.args[one])):
            kind = definition.args[missing].type
            self._add(node, f"`{name}` needs the argument `{missing}: {kind}`: write its value there", ())

    def _unknown_argument(
        self, argument: ArgumentNode, field: str, guess: str, definition: GraphQLField
    ) -> None:
        wanted = argument.name.value
        what = f"`{field}` takes no argument `{wanted}`"
        if guess:
            self._add(argument, f"{what}; most like it is `{guess}`", replace_edit(argument.name, guess))
            return
        known = ", ".join(definition.args) or "none"
        self._add(argument, f"{what} (it takes {known})", ())

    def _variable(self, argument: ArgumentNode, wanted: str) -> None:
        """Check that a variable has a type that its argument accepts."""
        if not isinstance(argument.value, VariableNode):
            return
        name = argument.value.name.value
        for declared in self._document.operation.variable_definitions or ():
            if declared.variable.name.value != name or self._agrees(declared, wanted):
                continue
            given = print_ast(declared.type)
            what = f"${name} is declared as {given}, but the schema takes {wanted}"
            self._add(declared.type, what, replace_edit(declared.type, wanted))

    def _agrees(self, declared: object, wanted: str) -> bool:
        """Whether a variable's type fits an argument of type ``wanted``."""
        given = print_ast(declared.type)  # type: ignore[attr-defined]  # a VariableDefinitionNode
        default = declared.default_value  # type: ignore[attr-defined]  # likewise
        return given in (wanted, f"{wanted}!") or (default is not None and f"{given}!" == wanted)

    def _add(self, node: object, what: str, edits: tuple[Edit, ...], *, offered: bool = True) -> None:
        self.mismatches.append(QueryMismatch(location_of(node), what, edits, offered))  # type: ignore[arg-type]  # a Node


def graphql_core_mismatches(schema: GraphQLSchema, document: QueryDocument) -> list[QueryMismatch]:
    """What graphql-core's validation finds (GraphQL specification, section 5). It makes no suggestions."""
    whole = DocumentNode(definitions=(document.operation, *document.fragments.values()))
    found = []
    for error in validate(schema, whole):
        node = error.nodes[0] if error.nodes else None
        place = location_of(node) if node else SourceLocation(document.file, 1, 1)
        found.append(QueryMismatch(place, error.message))
    return found


def _free_key(key: str, path: tuple[str, ...], taken: Taken) -> str:
    """The name of a moved field in the response: the old one, unless a field beside it has that name."""
    others = (one for one, name in taken.items() if name == key and one != path and len(one) == 1)
    return path[-1] if len(path) == 1 and any(others) else key


def _source(node: FieldNode) -> str:
    return node.loc.source.body[node.loc.start : node.loc.end] if node.loc else node.name.value


def _names(kind: ObjectType) -> str:
    names = list(kind.fields)
    more = len(names) - LISTED
    return ", ".join(names[:LISTED]) + (f" and {more} more" if more > 0 else "")


def _not_offered(node: FieldNode, parent: ObjectType) -> str:
    words = f"{node.name.value} {parent.name}".lower()
    if not any(word in words for word in NOT_OFFERED):
        return ""
    return '. Salestrekker says: "Broker tools and Asset Finance tools are not accessible via API"'


def _overlap(schema: GraphQLSchema, one: ObjectType, other: ObjectType) -> bool:
    """Whether an object can be of both types (GraphQL specification, 5.5.2.3)."""
    names = ({kind.name for kind in possible_types(schema, each)} for each in (one, other))
    return not set.isdisjoint(*names)


def find_mismatches(document: QueryDocument, live: LiveSchema, *, listing: bool) -> tuple[QueryMismatch, ...]:
    """What the server would reject in a query, or not answer as the bridge needs it.

    Args:
        document: The query with its fragments.
        live: The server's schema.
        listing: Whether the query lists records. Else it asks for one by its id.

    Returns:
        The mismatches, none if the query fits. What follows from a guess is only right if the guess is: check
            again once the lines are corrected.

    Raises:
        QueryFileError: The query has no path to its records, or cannot ask for one by its id.
    """
    query = live.graphql.query_type
    if query is None:
        return (
            QueryMismatch(location_of(document.operation), "the schema has no queries at all", offered=False),
        )
    check = FieldCheck(live.graphql, document)
    if listing:
        found = _list_mismatches(document, live.graphql, query, check)
    else:
        found = _by_id_mismatches(document, query, check)
    return tuple(found or graphql_core_mismatches(live.graphql, document))


def _list_mismatches(
    document: QueryDocument, schema: GraphQLSchema, query: ObjectType, check: FieldCheck
) -> list[QueryMismatch]:
    record_path = find_record_path(document)
    root, record = record_path.steps[0], record_path.steps[-1]
    listing = find_list(query, record_path, list(_leaves(document, record.selection_set)))
    if listing is None:
        known = ", ".join(list(query.fields)[:20])
        what = f"the schema has no list `{root.name.value}`, nor one like it (it has {known})"
        return [QueryMismatch(location_of(root), what, offered=False)]
    reason = find_list_problem(listing, record_path, document, schema)
    if not reason:
        check.level(document.operation.selection_set, query)
        uncovered = find_unselected_types(document, record.selection_set, listing.record, schema)
        return check.mismatches or list(uncovered)
    check.level(record.selection_set, listing.record)
    rewritten = build_list_query(listing, record_path, document, _selection(record_path, check))
    is_other = print_ast(parse(rewritten)).strip() != print_ast(document.operation).strip()
    edits = replace_edit(document.operation, rewritten) if is_other else ()
    return [QueryMismatch(location_of(root), reason, edits), *check.mismatches]


def _by_id_mismatches(document: QueryDocument, query: ObjectType, check: FieldCheck) -> list[QueryMismatch]:
    """What does not fit in a query by id. If its field is elsewhere, the query is written again."""
    rewritten = _rewritten_by_id(document, query, check)
    if rewritten:
        return [rewritten, *check.mismatches]
    check.level(document.operation.selection_set, query, single=True)
    return [_root_left(mismatch, document) for mismatch in check.mismatches]


def _rewritten_by_id(document: QueryDocument, query: ObjectType, check: FieldCheck) -> QueryMismatch | None:
    """The query by id with the schema's own field, if more than names differ. Its record is checked."""
    try:
        asked = parse_by_id_query(document)
    except QueryFileError:
        return None
    root, record = asked.record_path.steps[0], asked.record_path.steps[-1]
    found = find_record(query, asked, list(_leaves(document, record.selection_set)))
    if found is None or not _differs(found, asked, root, query, check):
        return None
    check.level(record.selection_set, found.record)
    rewritten = build_by_id_query(found, document, asked.variable, _selection(asked.record_path, check))
    is_there = root.name.value == found.path[0]
    what = (
        "takes the id, or gives the record, at another place" if is_there else f"is no field of {query.name}"
    )
    reason = f"`{root.name.value}` {what}; most like it is `{'.'.join(found.path)}`"
    return QueryMismatch(location_of(root), reason, replace_edit(document.operation, rewritten))


def _differs(
    found: SchemaRecord, asked: ByIdQuery, root: FieldNode, query: ObjectType, check: FieldCheck
) -> bool:
    """Whether a query must be written again: other names alone can be corrected one by one."""
    names = tuple(step.name.value for step in asked.record_path.steps)
    if names[: len(found.path)] == found.path:
        return is_given_elsewhere(found, asked) and not (found.is_plain and len(names) == 1)
    if root.name.value in query.fields:
        return False
    guess = check.guess([(root, query)], single=True).get(root.name.value)
    return not (found.is_plain and guess == found.path[0])


def _root_left(mismatch: QueryMismatch, document: QueryDocument) -> QueryMismatch:
    """A root field without a similar one is not removed: no query would remain."""
    roots = [location_of(node) for node in document.fields(document.operation.selection_set)]
    return mismatch if mismatch.offered or mismatch.place not in roots else replace(mismatch, edits=())


def _selection(record_path: RecordPath, check: FieldCheck) -> str:
    """The selection of a record, as the file has it, corrected."""
    node = record_path.steps[-1].selection_set
    if node is None or node.loc is None:
        return "{ id }"
    source, start, end = node.loc.source, node.loc.start, node.loc.end
    edits = [edit for mismatch in check.mismatches for edit in mismatch.edits]
    inside = [edit for edit in edits if edit.source is source and start <= edit.start and edit.end <= end]
    return apply_edits(inside, source.body[start:end], start)


def _leaves(document: QueryDocument, selections: SelectionSetNode | None) -> Iterator[tuple[str, ...]]:
    for field in document.fields(selections):
        if field.selection_set is None:
            yield (response_key(field),)
        else:
            yield from ((response_key(field), *path) for path in _leaves(document, field.selection_set))
