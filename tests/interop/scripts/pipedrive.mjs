// Pipedrive's own client asks a CRM: a person by phone, their owner, and a call to be logged.
// Called with the URL of the CRM, a token and a phone number; prints what the client made of it.
import { v1, v2 } from "pipedrive";

const [url, apiKey, term] = process.argv.slice(2);
const old = new v1.Configuration({ apiKey, basePath: `${url}/v1` });
const now = new v2.Configuration({ apiKey, basePath: `${url}/api/v2` });

async function told(asked) {
  try {
    return await asked;
  } catch (error) {
    return error; // its interceptor gives the body
  }
}

const persons = new v2.PersonsApi(now);
const found = await told(persons.searchPersons({ term, fields: "phone", limit: 10 }));
const short = await told(persons.searchPersons({ term: "1", fields: "phone", limit: 10 }));
const person = found.data.items[0].item;
const user = await told(new v1.UsersApi(old).getUser({ id: person.owner.id }));
const missing = await told(new v1.UsersApi(old).getUser({ id: 99 }));
const AddCallLogRequest = {
  outcome: "connected",
  to_phone_number: "8000",
  start_time: "2026-11-22 08:00:00",
  end_time: "2026-11-22 08:01:00",
  person_id: person.id,
  subject: "judged",
};
const logged = await told(new v1.CallLogsApi(old).addCallLog({ AddCallLogRequest }));
const wrong = await told(new v1.CallLogsApi(old).addCallLog({ AddCallLogRequest: { outcome: "?" } }));
const activities = await told(
  new v2.ActivitiesApi(now).getActivities({
    person_id: person.id,
    updated_since: "2026-11-22T07:55:00Z",
    limit: 10,
  }),
);
console.log(JSON.stringify({ found, short, user, missing, logged, wrong, activities }));
