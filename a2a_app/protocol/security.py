"""Security schemes of a card (section 4.5)."""

import builtins

from pydantic import Field

from a2a_app.protocol.base import Model, OneOf
from a2a_app.protocol.scalars import Flag, Name, Text


class StringList(Model):
    """A list of strings."""

    list: builtins.list[Text] = Field(default_factory=list)


class SecurityRequirement(Model):
    """Schemes that are needed together, each with its scopes."""

    schemes: dict[Text, StringList] = Field(default_factory=dict)


class APIKeySecurityScheme(Model):
    """A key in a header, a query or a cookie (section 4.5.2)."""

    description: Text = ""
    location: Name
    name: Name


class HTTPAuthSecurityScheme(Model):
    """HTTP authentication, such as Bearer (section 4.5.3)."""

    description: Text = ""
    scheme: Name
    bearer_format: Text = ""


class AuthorizationCodeOAuthFlow(Model):
    """OAuth 2.0 by authorization code (section 4.5.8)."""

    authorization_url: Name
    token_url: Name
    refresh_url: Text = ""
    scopes: dict[Text, Text]
    pkce_required: Flag = False


class ClientCredentialsOAuthFlow(Model):
    """OAuth 2.0 by client credentials (section 4.5.9)."""

    token_url: Name
    refresh_url: Text = ""
    scopes: dict[Text, Text]


class ImplicitOAuthFlow(Model):
    """OAuth 2.0, implicit; deprecated."""

    authorization_url: Text = ""
    refresh_url: Text = ""
    scopes: dict[Text, Text] = Field(default_factory=dict)


class PasswordOAuthFlow(Model):
    """OAuth 2.0 by password; deprecated."""

    token_url: Text = ""
    refresh_url: Text = ""
    scopes: dict[Text, Text] = Field(default_factory=dict)


class DeviceCodeOAuthFlow(Model):
    """OAuth 2.0 by device code (section 4.5.10)."""

    device_authorization_url: Name
    token_url: Name
    refresh_url: Text = ""
    scopes: dict[Text, Text]


class OAuthFlows(OneOf):
    """The one OAuth 2.0 flow that is supported (section 4.5.7)."""

    authorization_code: AuthorizationCodeOAuthFlow | None = None
    client_credentials: ClientCredentialsOAuthFlow | None = None
    implicit: ImplicitOAuthFlow | None = None
    password: PasswordOAuthFlow | None = None
    device_code: DeviceCodeOAuthFlow | None = None


class OAuth2SecurityScheme(Model):
    """OAuth 2.0 (section 4.5.4)."""

    description: Text = ""
    flows: OAuthFlows
    oauth2_metadata_url: Text = ""


class OpenIdConnectSecurityScheme(Model):
    """OpenID Connect (section 4.5.5)."""

    description: Text = ""
    open_id_connect_url: Name


class MutualTlsSecurityScheme(Model):
    """Mutual TLS (section 4.5.6)."""

    description: Text = ""


class SecurityScheme(OneOf):
    """One way to authenticate (section 4.5.1), of exactly one of five kinds."""

    api_key_security_scheme: APIKeySecurityScheme | None = None
    http_auth_security_scheme: HTTPAuthSecurityScheme | None = None
    oauth2_security_scheme: OAuth2SecurityScheme | None = None
    open_id_connect_security_scheme: OpenIdConnectSecurityScheme | None = None
    mtls_security_scheme: MutualTlsSecurityScheme | None = None
