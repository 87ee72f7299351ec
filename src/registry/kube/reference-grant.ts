import { fieldsOf, listOf, textOf, type Fields } from "./fields.ts";
import { idOf, type Metadata, type ObjectId } from "./metadata.ts";
import { coreGroup } from "./route-target.ts";

/** Who of other namespaces may refer to what in its own. */
export interface ReferenceGrant {
  readonly id: ObjectId;
  readonly from: readonly { readonly group: string; readonly kind: string; readonly namespace: string }[];
  /** Without a name all of the kind. */
  readonly to: readonly { readonly group: string; readonly kind: string; readonly name: string | undefined }[];
}

/** The API takes no more. */
const ITEMS_MAX = 16;

/** @throws FieldError: one that cannot be read grants nothing. */
export function readReferenceGrant(metadata: Metadata, object: Fields): ReferenceGrant {
  const spec = fieldsOf(object["spec"], "spec");
  const items = (name: string): [Fields, string][] =>
    listOf(spec[name], `spec.${name}`, ITEMS_MAX).map((item, at) => {
      const field = `spec.${name}[${at}]`;
      return [fieldsOf(item, field), field];
    });
  return {
    id: idOf(metadata),
    from: items("from").map(([{ group, kind, namespace }, field]) => ({
      group: textOf(group, `${field}.group`, 253),
      kind: textOf(kind, `${field}.kind`, 63),
      namespace: textOf(namespace, `${field}.namespace`, 63),
    })),
    to: items("to").map(([{ group, kind, name }, field]) => ({
      group: coreGroup(textOf(group, `${field}.group`, 253)),
      kind: textOf(kind, `${field}.kind`, 63),
      name: textOf(name, `${field}.name`, 253) || undefined,
    })),
  };
}
