import { isAbsolute, join } from "node:path";
import { MeshError } from "../errors.ts";
import { printable } from "../printable.ts";
import { parseYamlDocument } from "../yaml-document.ts";
import { type Fields, isFields } from "./fields.ts";

/** A Secret holds 1 MiB; a kubeconfig of a hundred clusters is smaller. */
const KUBECONFIG_BYTES_MAX = 1024 * 1024;

/** One map of a kubeconfig, with where it stands, so that whatever is wrong with it can be named. */
export class Section {
  readonly #fields: Fields;
  readonly #place: Place;
  readonly #path: readonly (string | number)[];

  constructor(fields: Fields, place: Place, path: readonly (string | number)[]) {
    this.#fields = fields;
    this.#place = place;
    this.#path = path;
  }

  /** True unless absent, null or empty text, which are the same to Kubernetes. */
  has(field: string): boolean {
    const value = this.#fields[field];
    return value !== undefined && value !== null && value !== "";
  }

  get fields(): readonly string[] {
    return Object.keys(this.#fields).filter((field) => this.has(field));
  }

  /** Undefined if it is not there. */
  text(field: string): string | undefined {
    if (!this.has(field)) return undefined;
    const value = this.#fields[field];
    if (typeof value !== "string") throw this.refusal(field, `must be text; put it in quotes if it is a number`);
    return value;
  }

  truth(field: string): boolean {
    if (!this.has(field)) return false;
    const value = this.#fields[field];
    if (typeof value !== "boolean") throw this.refusal(field, "must be true or false");
    return value;
  }

  /** A path, relative to the folder of its file. */
  path(field: string): string | undefined {
    const path = this.text(field);
    if (path === undefined || isAbsolute(path)) return path;
    if (this.#place.folder === undefined) throw this.refusal(field, "must be an absolute path");
    return join(this.#place.folder, path);
  }

  section(field: string): Section | undefined {
    const value = this.#fields[field];
    if (value === undefined || value === null) return undefined;
    if (!isFields(value)) throw this.refusal(field, "must be a map of fields");
    return new Section(value, this.#place, [...this.#path, field]);
  }

  /** A map that is not there, and so says nothing. */
  empty(field: string): Section {
    return new Section({}, this.#place, [...this.#path, field]);
  }

  texts(field: string): readonly string[] {
    const list = this.#list(field);
    if (!list.every((item) => typeof item === "string")) throw this.refusal(field, "must be a list of texts");
    return list;
  }

  sections(field: string): readonly Section[] {
    return this.#list(field).map((item, at) => {
      if (!isFields(item)) throw this.refusal(`${field}[${at}]`, "must be a map of fields");
      return new Section(item, this.#place, [...this.#path, field, at]);
    });
  }

  #list(field: string): readonly unknown[] {
    const value = this.#fields[field] ?? [];
    if (!Array.isArray(value)) throw this.refusal(field, "must be a list");
    return value as readonly unknown[];
  }

  /** @returns an error that names the field, with its line if there is one. */
  refusal(field: string, why: string): MeshError {
    const line = this.#place.lineOf([...this.#path, field]) ?? this.#place.lineOf(this.#path);
    const name = [...this.#path, ...(field === "" ? [] : [field])].reduce<string>(
      (path, step) => (typeof step === "number" ? `${path}[${step}]` : path === "" ? step : `${path}.${step}`),
      "",
    );
    const where = line === undefined ? this.#place.source : `${this.#place.source}, line ${line}`;
    return new MeshError("invalid", `${where}: ${printable(name, 200)} ${why}`);
  }
}

/** Where a kubeconfig was found. */
interface Place {
  /** For messages. */
  readonly source: string;
  /** What relative paths are relative to; undefined if they have no meaning. */
  readonly folder: string | undefined;
  lineOf(path: readonly (string | number)[]): number | undefined;
}

/** What kubeconfigs say, each part by its name. */
export interface KubeconfigFile {
  readonly source: string;
  readonly clusters: ReadonlyMap<string, Section>;
  readonly users: ReadonlyMap<string, Section>;
  readonly contexts: ReadonlyMap<string, Section>;
  readonly currentContext: string | undefined;
}

/**
 * @param source begins each error, as `kubeconfig` or a path.
 * @throws MeshError `invalid`, naming the line and the field.
 */
export function parseKubeconfig(text: string, source: string, folder: string | undefined): KubeconfigFile {
  const { value, lineOf } = parseYamlDocument(text, source, KUBECONFIG_BYTES_MAX);
  if (value === null) throw new MeshError("invalid", `${source} is empty`);
  if (!isFields(value)) throw new MeshError("invalid", `${source} must be a map of fields, with clusters and users`);
  const root = new Section(value, { source, folder, lineOf }, []);
  if (root.has("kind") && root.text("kind") !== "Config") throw root.refusal("kind", "must be Config");
  return {
    source,
    clusters: named(root, "clusters", "cluster"),
    users: named(root, "users", "user"),
    contexts: named(root, "contexts", "context"),
    currentContext: root.text("current-context"),
  };
}

function named(root: Section, list: string, field: string): ReadonlyMap<string, Section> {
  const found = new Map<string, Section>();
  for (const entry of root.sections(list)) {
    const name = entry.text("name");
    if (name === undefined) throw entry.refusal("name", "is missing");
    if (found.has(name)) throw entry.refusal("name", `is "${printable(name, 80)}" for the second time; keep one`);
    // A user may have nothing to show.
    const section = entry.section(field) ?? (field === "user" ? entry.empty(field) : undefined);
    if (section === undefined) throw entry.refusal(field, "is missing");
    found.set(name, section);
  }
  return found;
}

/** As kubectl merges the files of KUBECONFIG: what is named first counts. */
export function mergeKubeconfigs(files: readonly KubeconfigFile[]): KubeconfigFile {
  const merged = (part: "clusters" | "users" | "contexts"): ReadonlyMap<string, Section> =>
    new Map([...files].reverse().flatMap((file) => [...file[part]]));
  return {
    source: files.map(({ source }) => source).join(":"),
    clusters: merged("clusters"),
    users: merged("users"),
    contexts: merged("contexts"),
    currentContext: files.find(({ currentContext }) => currentContext !== undefined)?.currentContext,
  };
}
