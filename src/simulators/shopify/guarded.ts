// Owns how a write becomes a mutation payload: success has an empty error list; a refusal has the errors and nothing else.
import type { GraphQLFieldResolver } from 'graphql';
import type { Call } from './call.js';
import type { Input } from './inputs.js';
import { Refused } from './user-errors.js';

export type Mutation = GraphQLFieldResolver<unknown, Call, Input>;

/** `empty`: the payload of a refusal. `list`: an error list of another name that is filled too. */
export function guarded(empty: Input, write: (args: Input, call: Call) => Input, list = 'userErrors'): Mutation {
  return (_, args, call) => {
    try {
      return { userErrors: [], orderCancelUserErrors: [], ...write(args, call) };
    } catch (error) {
      if (error instanceof Refused) return { ...empty, userErrors: error.errors, [list]: error.errors };
      throw error;
    }
  };
}
