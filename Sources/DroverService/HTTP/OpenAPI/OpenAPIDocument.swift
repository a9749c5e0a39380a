internal import MicroHTTP

/// `GET /api/v1/openapi.json`: what the API takes and answers, made of the declarations of its routes.
enum OpenAPIDocument {
  /// The document's own route.
  static let operation = Operation(
    get: "openapi.json", "getOpenAPI", "This document.",
    Operation.Answer(status: 200, name: "OpenAPI", schema: .object([:])))

  /// Every route of the API; a route that is missing here fails a test.
  static let operations =
    Routes.operations + ControlRoutes.operations + StopRoutes.operations + DrainRoutes.operations
    + AutomaticRoutes.operations + WhyRoutes.operations + [operation]

  /// What stands before every route: a query that it does not take, web.yml's users and limits, the server's own limits.
  private static let problemsOfAll = [400, 401, 403, 429, 503]
  /// What stands before everything that is sent.
  private static let problemsOfBodies = [411, 413]
  private static let problemsOfAnswers = [406]

  /// The document.
  static func json(version: String) -> JSONTree {
    var schemas: [String: JSONTree] = ["Problem": Schema.of(ControlProblem.self).problem.json]
    var paths: [String: [String: JSONTree]] = [:]
    for operation in operations {
      for answer in operation.answers { schemas[answer.name] = answer.schema.json }
      paths[operation.pattern, default: [:]][operation.method.rawValue.lowercased()] = json(operation)
    }
    return [
      "openapi": "3.1.0",
      "info": [
        "title": "drover", "version": .text(version),
        "description": .text(
          "Live migrations of virtual machines: what they do, whether they will end, and acting on them. "
            + "Times are RFC 3339 in UTC, durations seconds, sizes bytes. What is not known is absent."),
      ],
      "paths": .object(paths.mapValues { .object($0) }),
      "components": [
        "schemas": .object(schemas),
        "securitySchemes": [
          "token": ["type": "http", "scheme": "bearer"], "user": ["type": "http", "scheme": "basic"],
        ],
      ],
    ]
  }

  private static func json(_ operation: Operation) -> JSONTree {
    var contents: [Int: [String: JSONTree]] = [:]
    for answer in operation.answers {
      contents[answer.status] = [
        "application/json": ["schema": ["$ref": .text("#/components/schemas/\(answer.name)")]]
      ]
    }
    let own = operation.acting == nil ? problemsOfAnswers : problemsOfBodies
    for status in Set(operation.problems + problemsOfAll + own) {
      contents[status, default: [:]]["application/problem+json"] = [
        "schema": ["$ref": "#/components/schemas/Problem"]
      ]
    }
    var responses: [String: JSONTree] = [:]
    for (status, content) in contents {
      responses["\(status)"] = [
        "description": .text(status < 300 ? "As wished." : Response.reason(of: status)),
        "content": .object(content),
      ]
    }
    var json: [String: JSONTree] = [
      "operationId": .text(operation.id), "summary": .text(operation.summary),
      "responses": .object(responses),
    ]
    let parameters = operation.pathParameters.map(path) + operation.query.map(query)
    if !parameters.isEmpty { json["parameters"] = .array(parameters) }
    if let body = operation.body {
      json["requestBody"] = [
        "required": .truth(body.isRequired), "content": ["application/json": ["schema": body.schema.json]],
      ]
    }
    if let acting = operation.acting {
      json["security"] = [["token": []], ["user": []]]
      json["x-drover-rights"] = .array(acting.rights.map(\.rawValue).sorted().map(JSONTree.text))
      if let controlSwitch = acting.controlSwitch {
        json["x-drover-switch"] = .text("control.switches.\(controlSwitch.rawValue)")
      }
      // Asked with `dryRun`, it needs the rights only.
      if acting.takesQuestions { json["x-drover-dry-run"] = .truth(true) }
    }
    return .object(json)
  }

  private static func path(_ name: String) -> JSONTree {
    [
      "name": .text(name), "in": "path", "required": true,
      "schema": ["type": "string", "minLength": .integer(1)],
    ]
  }

  private static func query(_ parameter: Operation.Parameter) -> JSONTree {
    var schema = parameter.schema.json
    if !parameter.values.isEmpty, case .object(var members) = schema {
      members["enum"] = .array(parameter.values.map(JSONTree.text))
      schema = .object(members)
    }
    return ["name": .text(parameter.name), "in": "query", "schema": schema]
  }
}

extension Schema {
  /// Of problems: only what says why something is not done tells `reasons`.
  fileprivate var problem: Schema {
    guard case .object(var members, let isOpen) = self else { return self }
    members["reasons"]?.isRequired = false
    return .object(members, isOpen: isOpen)
  }
}
