import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { parseAllDocuments } from "yaml";
import type { KubeClient } from "./kube-client.ts";

type Schema = Readonly<Record<string, unknown>>;
type Schemas = Readonly<Record<string, Schema>>;

interface Definition {
  readonly kind: string;
  readonly spec: {
    readonly group: string;
    readonly names: { readonly kind: string };
    readonly versions: readonly { readonly name: string; readonly schema: { readonly openAPIV3Schema: Schema } }[];
  };
}
interface KindName {
  readonly group: string;
  readonly version: string;
  readonly kind: string;
}

/** Below them are names of fields, not words of a schema. */
const FIELDS = "properties";
const REF = "#/components/schemas/";
const META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta";

/**
 * What kubeconform holds objects to: a JSON schema for each kind, with all that it refers to in it, since kubeconform's own are
 * at an address that tests do not ask (contract operations.md 5.6). Fields that are not in them are refused.
 */
export class KindSchemas {
  readonly #folder: string;

  constructor(folder: string) {
    this.#folder = folder;
  }

  /** For `-schema-location`. */
  get location(): string {
    return join(this.#folder, "{{.Group}}", "{{.ResourceKind}}-{{.ResourceAPIVersion}}.json");
  }

  /** Of what is built into an API server, as that publishes it: of `v1`, `apps/v1` and so on. */
  async ofServer(client: KubeClient, apiVersions: Iterable<string>): Promise<void> {
    for (const apiVersion of apiVersions) {
      const schemas = await published(client, apiVersion);
      for (const schema of Object.values(schemas)) {
        const [name, ...others] = (schema["x-kubernetes-group-version-kind"] ?? []) as readonly KindName[];
        // What is of many kinds, as DeleteOptions, is no object.
        if (name !== undefined && others.length === 0) this.#write(name, closed(schema, schemas));
      }
    }
  }

  /** Of CustomResourceDefinitions in a folder, whose objects have the server's metadata. @returns their API versions */
  async ofDefinitions(client: KubeClient, folder: string): Promise<readonly string[]> {
    const core = await published(client, "v1");
    const metadata = { metadata: closed(core[META]!, core), apiVersion: { type: "string" }, kind: { type: "string" } };
    const definitions = definitionsIn(folder);
    for (const { spec } of definitions)
      for (const { name: version, schema } of spec.versions) {
        const { [FIELDS]: fields, ...rest } = closed(schema.openAPIV3Schema, {});
        const name = { group: spec.group, version, kind: spec.names.kind };
        this.#write(name, { ...rest, [FIELDS]: { ...(fields as Schema), ...metadata } });
      }
    return definitions.flatMap(({ spec }) => spec.versions.map(({ name }) => `${spec.group}/${name}`));
  }

  #write({ group, version, kind }: KindName, schema: Schema): void {
    // As kubeconform calls the group of `v1`.
    const folder = join(this.#folder, group === "" ? version : group);
    mkdirSync(folder, { recursive: true });
    // OpenAPI 3.0 is of that draft, in which `exclusiveMinimum` is true or false.
    const whole = { $schema: "http://json-schema.org/draft-04/schema#", ...schema };
    writeFileSync(join(folder, `${kind.toLowerCase()}-${version}.json`), JSON.stringify(whole));
  }
}

async function published(client: KubeClient, apiVersion: string): Promise<Schemas> {
  const path = apiVersion.includes("/") ? `apis/${apiVersion}` : `api/${apiVersion}`;
  const { components } = await client.call<{ components: { schemas: Schemas } }>("GET", `/openapi/v3/${path}`);
  return components.schemas;
}

const definitionsIn = (folder: string): readonly Definition[] =>
  readdirSync(folder)
    .filter((name) => name.endsWith(".yaml"))
    .flatMap((name) => parseAllDocuments(readFileSync(join(folder, name), "utf8")))
    .map((document) => document.toJS() as Definition | null)
    .filter((object) => object?.kind === "CustomResourceDefinition") as Definition[];

/** With what it refers to, and for no other fields than it names. */
function closed(schema: Schema, all: Schemas): Schema {
  const { allOf, ...rest } = schema;
  const [only, ...others] = (allOf ?? []) as readonly Schema[];
  const ref = only?.["$ref"] ?? rest["$ref"];
  if (typeof ref === "string" && others.length === 0) {
    const { $ref: _, default: __, ...own } = rest;
    return { ...closed(all[ref.slice(REF.length)]!, all), ...own };
  }
  const { [FIELDS]: fields, items, additionalProperties, ...words } = schema;
  const open = additionalProperties ?? words["x-kubernetes-preserve-unknown-fields"];
  return {
    ...words,
    ...(items !== undefined && { items: closed(items as Schema, all) }),
    ...(isSchema(additionalProperties) && { additionalProperties: closed(additionalProperties, all) }),
    ...(fields !== undefined && {
      [FIELDS]: Object.fromEntries(
        Object.entries(fields as Schemas).map(([name, field]) => [name, closed(field, all)]),
      ),
    }),
    ...(fields !== undefined && open === undefined && { additionalProperties: false }),
  };
}

const isSchema = (value: unknown): value is Schema => typeof value === "object" && value !== null;
