// Owns the schema that a memory remote shows of itself, without the fields our credential cannot see.
import { objectName, remotePath, type ObjectName } from '../../model/ids.js';
import type { RemoteField, RemoteSchema } from '../connector.js';
import type { MemoryClient } from './client.js';
import type { FieldSpec } from './config.js';

export function describe({ remote }: MemoryClient, objects: readonly ObjectName[]): RemoteSchema {
  const toField = ([path, spec]: readonly [string, FieldSpec]): RemoteField => ({
    path: remotePath(path),
    type: spec.type,
    nullable: !spec.required,
    createable: spec.createable,
    updateable: spec.updateable,
    ...(spec.maxLength === undefined ? {} : { maxLength: spec.maxLength }),
    ...(spec.scale === undefined ? {} : { scale: spec.scale }),
    ...(spec.values === undefined ? {} : { values: spec.values }),
    ...(spec.references === undefined ? {} : { references: [objectName(spec.references)] }),
  });
  const fieldsOf = (within: string, specs: Readonly<Record<string, FieldSpec>>): RemoteField[] =>
    Object.entries(specs)
      .filter(([path]) => !remote.isHidden(within, path))
      .map(toField);
  const known = objects.filter((name) => remote.spec(name) !== undefined);
  return {
    objects: known.map((name) => ({
      name,
      fields: fieldsOf(name, remote.spec(name)?.fields ?? {}),
      children: Object.fromEntries(
        Object.entries(remote.spec(name)?.children ?? {}).map(([child, specs]) => [
          child,
          fieldsOf(`${name}.${child}`, specs),
        ]),
      ),
      createable: true,
      updateable: true,
      deletable: true,
    })),
    missing: objects.filter((name) => remote.spec(name) === undefined),
    apiVersion: '1',
  };
}
