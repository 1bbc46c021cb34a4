// Command stand-in is a Terraform provider that knows its resources' arguments and nothing else: what `tofu validate` and
// `tofu test` with mocked providers need where no registry of providers is reached. Its schema is the file that
// STAND_IN_SCHEMAS/NAME.json holds for a program named terraform-provider-NAME.
package main

import (
	"context"
	"encoding/json"
	"log"
	"os"
	"path/filepath"
	"strings"

	"github.com/hashicorp/terraform-plugin-go/tfprotov6"
	"github.com/hashicorp/terraform-plugin-go/tfprotov6/tf6server"
	"github.com/hashicorp/terraform-plugin-go/tftypes"
)

type attribute struct {
	Type                     json.RawMessage
	Nested                   map[string]attribute
	Required, Computed, Many bool
}

type block struct {
	Attributes map[string]attribute
	Blocks     map[string]struct {
		Required bool
		Block    block
	}
}

type schemas struct {
	Provider       block
	Resource, Data map[string]block
}

// sensitive: what no output may show.
var sensitive = map[string]bool{"bcrypt_hash": true, "data": true, "password": true, "result": true}

func attributes(known map[string]attribute, secrets bool) (made []*tfprotov6.SchemaAttribute) {
	for name, one := range known {
		proto := &tfprotov6.SchemaAttribute{
			Name: name, Required: one.Required, Optional: !one.Required && !one.Computed,
			Computed: !one.Required, Sensitive: secrets && sensitive[name],
		}
		if one.Nested != nil {
			proto.NestedType = &tfprotov6.SchemaObject{
				Attributes: attributes(one.Nested, secrets), Nesting: tfprotov6.SchemaObjectNestingModeSingle,
			}
			if one.Many {
				proto.NestedType.Nesting = tfprotov6.SchemaObjectNestingModeList
			}
		} else {
			kind, err := tftypes.ParseJSONType(one.Type) //nolint:staticcheck // the only parser of these that there is
			if err != nil {
				log.Fatalf("%s: %v", name, err)
			}
			proto.Type = kind
		}
		made = append(made, proto)
	}
	return made
}

func (b block) proto(secrets bool) *tfprotov6.SchemaBlock {
	made := &tfprotov6.SchemaBlock{Attributes: attributes(b.Attributes, secrets)}
	for name, one := range b.Blocks {
		nested := &tfprotov6.SchemaNestedBlock{
			TypeName: name, Block: one.Block.proto(secrets), Nesting: tfprotov6.SchemaNestedBlockNestingModeList,
		}
		if one.Required {
			nested.MinItems = 1
		}
		made.BlockTypes = append(made.BlockTypes, nested)
	}
	return made
}

func all(blocks map[string]block) map[string]*tfprotov6.Schema {
	made := map[string]*tfprotov6.Schema{}
	for name, one := range blocks {
		secrets := strings.HasSuffix(name, "_password") || strings.Contains(name, "_secret")
		made[name] = &tfprotov6.Schema{Block: one.proto(secrets)}
	}
	return made
}

// server answers what validation asks; anything else is a nil method of the embedded interface.
type server struct {
	tfprotov6.ProviderServer
	schemas schemas
}

func (s server) GetMetadata(context.Context, *tfprotov6.GetMetadataRequest) (*tfprotov6.GetMetadataResponse, error) {
	made := &tfprotov6.GetMetadataResponse{}
	for name := range s.schemas.Resource {
		made.Resources = append(made.Resources, tfprotov6.ResourceMetadata{TypeName: name})
	}
	for name := range s.schemas.Data {
		made.DataSources = append(made.DataSources, tfprotov6.DataSourceMetadata{TypeName: name})
	}
	return made, nil
}

func (s server) GetProviderSchema(context.Context, *tfprotov6.GetProviderSchemaRequest) (*tfprotov6.GetProviderSchemaResponse, error) {
	return &tfprotov6.GetProviderSchemaResponse{
		Provider:          &tfprotov6.Schema{Block: s.schemas.Provider.proto(false)},
		ResourceSchemas:   all(s.schemas.Resource),
		DataSourceSchemas: all(s.schemas.Data),
	}, nil
}

func (s server) ValidateProviderConfig(_ context.Context, asked *tfprotov6.ValidateProviderConfigRequest) (*tfprotov6.ValidateProviderConfigResponse, error) {
	return &tfprotov6.ValidateProviderConfigResponse{PreparedConfig: asked.Config}, nil
}

func (s server) ValidateResourceConfig(context.Context, *tfprotov6.ValidateResourceConfigRequest) (*tfprotov6.ValidateResourceConfigResponse, error) {
	return &tfprotov6.ValidateResourceConfigResponse{}, nil
}

func (s server) ValidateDataResourceConfig(context.Context, *tfprotov6.ValidateDataResourceConfigRequest) (*tfprotov6.ValidateDataResourceConfigResponse, error) {
	return &tfprotov6.ValidateDataResourceConfigResponse{}, nil
}

// UpgradeResourceState hands a state back as it is: between the runs of a test nothing is of another version.
func (s server) UpgradeResourceState(_ context.Context, asked *tfprotov6.UpgradeResourceStateRequest) (*tfprotov6.UpgradeResourceStateResponse, error) {
	return &tfprotov6.UpgradeResourceStateResponse{UpgradedState: &tfprotov6.DynamicValue{JSON: asked.RawState.JSON}}, nil
}

func (s server) StopProvider(context.Context, *tfprotov6.StopProviderRequest) (*tfprotov6.StopProviderResponse, error) {
	return &tfprotov6.StopProviderResponse{}, nil
}

func main() {
	name := strings.TrimPrefix(filepath.Base(os.Args[0]), "terraform-provider-")
	text, err := os.ReadFile(filepath.Join(os.Getenv("STAND_IN_SCHEMAS"), name+".json"))
	if err != nil {
		log.Fatal(err)
	}
	var known schemas
	if err := json.Unmarshal(text, &known); err != nil {
		log.Fatal(err)
	}
	err = tf6server.Serve("registry.opentofu.org/hashicorp/"+name, func() tfprotov6.ProviderServer {
		return server{schemas: known}
	})
	if err != nil {
		log.Fatal(err)
	}
}
